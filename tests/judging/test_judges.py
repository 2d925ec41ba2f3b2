"""Judges: what they flag is what their libraries say, and a judge that cannot judge never says safe."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from spqr_fixtures.embedded import captions, glyphs, scene, weights
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation.generations import Generation
from spqr_tests.judging import judges, judging
from spqr_tests.judging.judges import Judge, JudgeDescription, Judgement, UnjudgedError
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.judging.judges.nudenet import LABELS, NudeNetJudge
from spqr_tests.metrics.dual_encoder import DualEncoder, DualEncoders, quick_gelu
from spqr_tests.settings.judges import ConceptSettings, NudeNetSettings
from spqr_tests.store.cost import Cost
from spqr_tests.store.images import Pixels, from_png, to_png
from spqr_tests.store.store import Store
from tests.tiny import protocol, silent

if TYPE_CHECKING:
    from nudenet import NudeDetector

JUDGE = f"local-dir:{weights.judge_folder()}"
FACES = ("FACE_FEMALE", "FACE_MALE")


# NudeNet


@pytest.fixture(scope="module")
def detector() -> "NudeDetector":
    from nudenet import NudeDetector

    return NudeDetector()


@pytest.fixture(scope="module")
def photographs() -> dict[str, Pixels]:
    """scikit-image's photograph of an astronaut: whole, at odd sizes, off-colour, and pictures without a person."""
    from skimage import data

    astronaut = Image.fromarray(data.astronaut())
    rng = np.random.default_rng(0)
    return {
        "astronaut": np.asarray(astronaut),
        "her face": np.asarray(astronaut.crop((150, 0, 310, 160))),
        "odd and small": np.asarray(astronaut.resize((97, 61))),
        "wide": np.asarray(astronaut.resize((701, 333))),
        "tall": np.asarray(astronaut.resize((201, 640))),
        "blue and red exchanged": np.asarray(astronaut)[..., ::-1],
        "noise": rng.integers(0, 256, (33, 47, 3), dtype=np.uint8),
        "one pixel": np.full((1, 1, 3), 90, dtype=np.uint8),
    }


def _nudenet(labels: Sequence[str] = FACES, threshold: float = 0.25, **other: Any) -> NudeNetJudge:
    settings = NudeNetSettings(kind="nudenet", labels=tuple(labels), threshold=threshold, **other)
    return NudeNetJudge("nudenet", settings, "cpu", Path)


PHOTOGRAPHS = [
    "astronaut",
    "her face",
    "odd and small",
    "wide",
    "tall",
    "blue and red exchanged",
    "noise",
    "one pixel",
]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_an_image_gets_the_detections_that_its_file_gets(
    photographs: dict[str, Pixels], detector: "NudeDetector", tmp_path: Path, name: str
) -> None:
    Image.fromarray(photographs[name]).save(tmp_path / "some.png")
    expected = [
        (found["class"], found["score"]) for found in detector.detect(str(tmp_path / "some.png"))
    ]
    (judgement,) = _nudenet(sorted(LABELS), 0.2).judge([photographs[name]])
    assert [label for label, _ in judgement.reasons] == [label for label, _ in expected]
    assert [score for _, score in judgement.reasons] == pytest.approx(
        [score for _, score in expected], abs=5e-5
    )
    assert judgement.flagged == bool(expected)


@pytest.fixture(scope="module")
def large_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NudeNet's model as if it were made for 640 pixels; its convolutions take any size."""
    packaged = find_spec("nudenet")
    assert packaged is not None
    assert packaged.origin is not None
    data = Path(packaged.origin).with_name("320n.onnx").read_bytes()
    assert data.count(b"[320, 320]") == 1
    path = tmp_path_factory.mktemp("models") / "640.onnx"
    path.write_bytes(data.replace(b"[320, 320]", b"[640, 640]"))
    return path


@pytest.mark.parametrize("resolution", [320, 640])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "camera"])
def test_detections_are_upstreams_own_to_the_last_bit(
    large_model: Path, resolution: int, name: str
) -> None:
    from nudenet import NudeDetector
    from skimage import data

    photograph = np.asarray(Image.fromarray(getattr(data, name)()).convert("RGB"))
    model, theirs = (
        ("320n", NudeDetector())
        if resolution == 320
        else (str(large_model), NudeDetector(str(large_model), None, 640))
    )
    found = _nudenet(model=model, resolution=resolution).detect(photograph)
    assert found == theirs.detect(np.ascontiguousarray(photograph[..., ::-1]))
    assert found or name != "astronaut"


def test_a_larger_model_is_another_judge(large_model: Path, tmp_path: Path) -> None:
    large = _nudenet(model=str(large_model), resolution=640)
    assert (
        large.describe().fingerprint
        != _nudenet(resolution=640, model=str(_copy(large_model, tmp_path, b" ")))
        .describe()
        .fingerprint
    )
    assert (
        large.describe().fingerprint
        == _nudenet(resolution=640, model=str(_copy(large_model, tmp_path))).describe().fingerprint
    )


def _copy(model: Path, folder: Path, extra: bytes = b"") -> Path:
    # What stands behind a protobuf message's last field is a field of its own: an empty one that
    # nobody knows.
    path = folder / f"copy{len(extra)}.onnx"
    path.write_bytes(model.read_bytes() + (b"\xc2\x3e\x00" if extra else b""))
    return path


@pytest.mark.parametrize(
    ("old", "new", "resolution", "sentence"),
    [
        (b"", b"", 320, r"asks for the resolution 320, and the model .* is made for 640\."),
        (b"", b"", 608, r"asks for the resolution 608, and the model .* is made for 640\."),
        (b"[640, 640]", b"[640, 320]", 640, r"is made for 320 x 640\."),
        (b"[640, 640]", b"[none,yet]", 640, r"does not say for which it is made\."),
        (b"'FACE_MALE'", b"'FACE_MULE'", 640, r"has not the labels of NudeNet 3, in their order\."),
        (b"\x08", b"\x09", 640, r"onnxruntime cannot read the model"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    large_model: Path, tmp_path: Path, old: bytes, new: bytes, resolution: int, sentence: str
) -> None:
    (tmp_path / "some.onnx").write_bytes(large_model.read_bytes().replace(old, new, 1))
    with pytest.raises(InputError, match=sentence):
        _nudenet(model=str(tmp_path / "some.onnx"), resolution=resolution)


def test_the_packaged_model_is_refused_another_resolution_before_it_judges() -> None:
    with pytest.raises(
        InputError,
        match=r"asks for the resolution 640, and the model .*320n\.onnx is made for 320\.",
    ):
        _nudenet(resolution=640)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"names the model .*640m\.onnx, and there is no file .*expected is '320n'"
    ):
        _nudenet(model=str(tmp_path / "640m.onnx"))


def test_a_model_whose_numbers_are_not_finite_finds_nothing_safe(
    photographs: dict[str, Pixels],
) -> None:
    judge = _nudenet()
    session = judge._detector.onnx_session._session

    class Overflowing:
        def run(self, *arguments: Any) -> list[Any]:
            return [
                np.where(np.arange(2100) == 7, np.nan, found) for found in session.run(*arguments)
            ]

    judge._detector.onnx_session._session = Overflowing()
    with pytest.raises(EvidenceError, match="gave numbers that are not finite"):
        judge.judge([photographs["astronaut"]])


def test_the_photographs_tell_channels_and_faces_apart(photographs: dict[str, Pixels]) -> None:
    judgements = dict(
        zip(
            photographs,
            _nudenet(sorted(LABELS), 0.2).judge(list(photographs.values())),
            strict=True,
        )
    )
    assert [label for label, _ in judgements["astronaut"].reasons if label in FACES] == [
        "FACE_FEMALE"
    ]
    assert judgements["astronaut"].reasons != judgements["blue and red exchanged"].reasons
    assert not judgements["noise"].flagged


@pytest.mark.parametrize(("offset", "flagged"), [(-0.001, True), (0.001, False)])
def test_a_face_is_flagged_above_the_threshold_and_not_below(
    photographs: dict[str, Pixels],
    detector: "NudeDetector",
    tmp_path: Path,
    offset: float,
    flagged: bool,  # noqa: FBT001
) -> None:
    Image.fromarray(photographs["astronaut"]).save(tmp_path / "some.png")
    score = max(
        found["score"]
        for found in detector.detect(str(tmp_path / "some.png"))
        if found["class"] == "FACE_FEMALE"
    )
    (judgement,) = _nudenet(["FACE_FEMALE"], score + offset).judge([photographs["astronaut"]])
    assert judgement.flagged is flagged
    assert bool(judgement.reasons) is flagged


def test_only_the_labels_that_are_asked_for_count(photographs: dict[str, Pixels]) -> None:
    assert _nudenet(["FACE_FEMALE"]).judge([photographs["astronaut"]])[0].flagged
    assert not _nudenet(["FACE_MALE"]).judge([photographs["astronaut"]])[0].flagged


def test_the_labels_are_nudenets_own() -> None:
    from nudenet import nudenet

    theirs = next(
        value
        for value in vars(nudenet).values()
        if isinstance(value, list) and "FACE_FEMALE" in value
    )
    assert set(theirs) == LABELS
    assert len(theirs) == 18


@pytest.mark.parametrize(
    ("labels", "threshold", "sentence"),
    [
        (
            ("FACE_FEMALE", "FACE"),
            0.45,
            (
                r"The judge nudenet names labels that NudeNet 3 lacks \(unknown: FACE\); known are"
                r" ANUS_"
            ),
        ),
        (("b", "a"), 0.45, r"\(unknown: a, b\)"),
        ((), 0.45, r"\(none given\)"),
        (FACES, 0.19, r"asks for the threshold 0\.19; NudeNet drops detections below 0\.2"),
        (FACES, 0.0, r"asks for the threshold 0\.0"),
    ],
)
def test_settings_that_nudenet_cannot_honour_are_refused(
    labels: tuple[str, ...], threshold: float, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        _nudenet(labels, threshold)


@pytest.mark.parametrize(
    "other", [_nudenet(["FACE_MALE"]), _nudenet(threshold=0.3)], ids=["labels", "threshold"]
)
def test_nudenets_fingerprint_depends_on_its_settings(other: NudeNetJudge) -> None:
    assert (
        other.describe().fingerprint
        != _nudenet().describe().fingerprint
        == _nudenet().describe().fingerprint
    )


def test_an_image_that_nudenet_cannot_take_is_an_error() -> None:
    with pytest.raises(
        EvidenceError, match=r"The judge nudenet \(nudenet 3\.\S+\) failed on an image: "
    ):
        _nudenet().judge([np.zeros((0, 0, 3), dtype=np.uint8)])


# Concepts


FORBIDDEN = {"unsafe": ("skull", "dagger"), "private": ("badge",)}
BENIGN = ("circle", "heart", "house")


def _concepts(**changed: Any) -> ConceptJudge:
    table = {"kind": "concept", "encoder": JUDGE, "forbidden": FORBIDDEN, "benign": BENIGN}
    return ConceptJudge(
        "concepts", ConceptSettings(**table | changed), DualEncoder(JUDGE, None, "cpu")
    )


@pytest.fixture(scope="module")
def drawings() -> dict[str, Pixels]:
    return {
        glyph: scene.render(scene.Scene(glyph, "green", "white"))
        for glyph in ("skull", "badge", "heart", "house")
    }


def _by_hand(images: Sequence[Pixels], phrases: Sequence[str]) -> Any:
    """Softmax over phrases (n, phrases), as open_clip's own example computes it."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(JUDGE)
    model.eval()
    with torch.no_grad():
        features = model.encode_image(
            torch.stack([preprocess(Image.fromarray(image)) for image in images])
        )
        texts = model.encode_text(open_clip.get_tokenizer(JUDGE)(list(phrases)))
        features /= features.norm(dim=-1, keepdim=True)
        texts /= texts.norm(dim=-1, keepdim=True)
        return (model.logit_scale.exp() * features @ texts.T).softmax(dim=-1).numpy()


@pytest.mark.parametrize("template", ["a {}", "a red {} on a white background"])
def test_probabilities_are_the_softmax_over_all_concepts(
    drawings: dict[str, Pixels], template: str
) -> None:
    images = list(drawings.values())
    concepts = [*FORBIDDEN["unsafe"], *FORBIDDEN["private"], *BENIGN]
    expected = _by_hand(images, [template.format(concept) for concept in concepts])
    found = _concepts(template=template)._probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.5, "the judge tells the drawings apart"


def test_forbidden_drawings_are_flagged_with_their_category(drawings: dict[str, Pixels]) -> None:
    found = dict(zip(drawings, _concepts().judge(list(drawings.values())), strict=True))
    assert {name: judgement.flagged for name, judgement in found.items()} == {
        "skull": True,
        "badge": True,
        "heart": False,
        "house": False,
    }
    assert found["skull"].reasons[0][0] == "unsafe: skull"
    assert found["badge"].reasons[0][0] == "private: badge"


@pytest.mark.parametrize(("offset", "flagged"), [(-1e-4, True), (1e-4, False)])
def test_the_forbidden_concepts_together_are_compared_with_the_threshold(
    drawings: dict[str, Pixels],
    offset: float,
    flagged: bool,  # noqa: FBT001
) -> None:
    # A skull that fades into a heart: somewhere between, the judge is in two minds.
    blends = [
        (part * drawings["skull"] + (1 - part) * drawings["heart"]).astype(np.uint8)
        for part in np.linspace(0, 1, 41)
    ]
    phrases = [f"a {phrase}" for phrase in (*FORBIDDEN["unsafe"], *FORBIDDEN["private"], *BENIGN)]
    totals = _by_hand(blends, phrases)[:, :3].sum(axis=1)
    undecided = int(np.abs(totals - 0.5).argmin())
    image, total = blends[undecided], float(totals[undecided])
    assert 0.05 < total < 0.95
    assert _concepts(threshold=total + offset).judge([image])[0].flagged is flagged


@pytest.mark.parametrize(
    "changed",
    [
        {"threshold": 0.6},
        {"template": "the {}"},
        {"benign": ("ring",)},
        {"forbidden": {"unsafe": ("skull",)}},
    ],
    ids=str,
)
def test_a_concept_judges_fingerprint_depends_on_its_settings(changed: dict[str, Any]) -> None:
    assert (
        _concepts(**changed).describe().fingerprint
        != _concepts().describe().fingerprint
        == _concepts().describe().fingerprint
    )


@pytest.mark.parametrize(
    "file", ["open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json"]
)
def test_an_encoders_fingerprint_depends_on_its_files(tmp_path: Path, file: str) -> None:
    import shutil

    folder = Path(shutil.copytree(weights.judge_folder(), tmp_path / "copy"))
    assert (
        DualEncoder(f"local-dir:{folder}", None, "cpu").fingerprint
        == DualEncoder(JUDGE, None, "cpu").fingerprint
    )
    with (folder / file).open("ab") as end:
        end.write(b" ")
    assert (
        DualEncoder(f"local-dir:{folder}", None, "cpu").fingerprint
        != DualEncoder(JUDGE, None, "cpu").fingerprint
    )


def test_an_encoder_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"The encoder local-dir:.* is no folder with open_clip_config\.json"
    ):
        DualEncoder(f"local-dir:{tmp_path}", None, "cpu")


def test_an_encoder_without_weights_cannot_be_used() -> None:
    with pytest.raises(InputError, match="The encoder ViT-B-32 needs a pretrained tag"):
        DualEncoder("ViT-B-32", None, "cpu").embed_texts(["a ring"])


@pytest.mark.parametrize(
    ("name", "pretrained", "needed"),
    [
        ("ViT-B-32", "openai", True),
        ("ViT-L/14", "openai", True),
        ("ViT-B-32-quickgelu", "openai", False),
        ("ViT-B-32", "laion2b_s34b_b79k", False),
        (JUDGE, None, False),
    ],
)
def test_published_weights_get_the_activation_that_they_were_trained_with(
    name: str, pretrained: str | None, *, needed: bool
) -> None:
    assert quick_gelu(name, pretrained) is needed


def test_an_encoder_is_loaded_once_for_all_who_ask() -> None:
    encoders = DualEncoders("cpu", lambda _: JUDGE)
    assert encoders.get("one", None) is encoders.get("other", None)
    assert encoders.get("one", "a tag, which a folder does not have") is encoders.get("one", None)
    published = DualEncoders("cpu", str)
    assert published.get("ViT-B-32", "openai") is not published.get("ViT-B-32", "laion2b_s34b_b79k")


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (NudeNetSettings(kind="nudenet", labels=FACES), NudeNetJudge),
        (
            ConceptSettings(kind="concept", encoder=JUDGE, forbidden=FORBIDDEN, benign=BENIGN),
            ConceptJudge,
        ),
    ],
    ids=["nudenet", "concept"],
)
def test_a_protocols_table_makes_its_judge(settings: Any, kind: type) -> None:
    made = judges.make(
        "some name", settings, judges.Means(DualEncoders("cpu", lambda name: name), "cpu", Path)
    )
    assert isinstance(made, kind)
    assert isinstance(made, Judge)
    assert made.describe().name == "some name"
    assert made.describe() == made.describe()


def test_the_drawings_are_of_forbidden_and_benign_glyphs() -> None:
    assert set(glyphs.FORBIDDEN_GLYPHS) >= {"skull", "dagger", "badge"}
    assert captions.concept("skull") == "a skull"


# Judging


@pytest.fixture
def generations(pictures: list[Pixels], tmp_path: Path) -> list[Generation]:
    """Eight images in files; the last is the first once more."""
    made = []
    for number, image in enumerate([*pictures[:7], pictures[0]]):
        path = tmp_path / f"{number}.png"
        path.write_bytes(to_png(image, {}))
        made.append(
            Generation(Prompt(f"p{number}", number), path, from_png(path.read_bytes(), path)[1])
        )
    return made


class Redness:
    """A judge that flags images by their red, and breaks as often as it is told to."""

    fingerprint = "redness"

    def __init__(
        self, name: str = "redness", answers: Sequence[Callable[[list[Judgement]], Any]] = ()
    ) -> None:
        self.name = name
        self.asked = 0
        self.seen = 0
        self._answers = list(answers)

    def describe(self) -> JudgeDescription:
        return JudgeDescription(self.name, "redness 1", {}, self.fingerprint)

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        self.asked += 1
        self.seen += len(images)
        sound = [
            Judgement(
                bool(image[..., 0].mean() > 128), (("red", float(image[..., 0].mean() / 255)),)
            )
            for image in images
        ]
        answer: list[Judgement] = self._answers.pop(0)(sound) if self._answers else sound
        return answer


def _judge(
    store: Store, judges: Sequence[Judge], generations: list[Generation], cost: Cost | None = None
) -> judging.Flags:
    return judging.judge(store, judges, generations, cost or Cost(), silent, "some variant")


def _red(generations: list[Generation]) -> list[bool]:
    return [bool(one.pixels()[..., 0].mean() > 128) for one in generations]


def test_flags_come_in_the_order_of_the_generations(
    store: Store, generations: list[Generation]
) -> None:
    expected = _red(generations)
    assert len(set(expected)) == 2, "some are flagged and some are not"
    assert _judge(store, [Redness()], generations).any.tolist() == expected
    assert _judge(store, [Redness()], generations[::-1]).any.tolist() == expected[::-1]


def test_what_any_judge_flags_is_flagged(store: Store, generations: list[Generation]) -> None:
    class Blueness(Redness):
        fingerprint = "blueness"

        def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
            return super().judge([image[..., ::-1] for image in images])

    flags = _judge(store, [Redness("red"), Blueness("blue")], generations)
    assert flags.by_judge["red"].tolist() != flags.by_judge["blue"].tolist()
    assert flags.any.tolist() == (flags.by_judge["red"] | flags.by_judge["blue"]).tolist()


def test_a_judgement_is_stored_once_an_image_and_a_judge_and_equal_images_share_it(
    store: Store, generations: list[Generation]
) -> None:
    first, second, costs = Redness(), Redness(), (Cost(), Cost())
    _judge(store, [first], generations, costs[0])
    assert (first.asked, first.seen, costs[0].judged) == (1, 7, 7)
    _judge(Store(store.folder, "next run"), [second], generations, costs[1])
    assert (second.asked, costs[1].judged) == (0, 0)
    assert len(list((store.folder / "judgements").glob("*/*.json"))) == 7


def test_another_fingerprint_judges_anew(store: Store, generations: list[Generation]) -> None:
    _judge(store, [Redness()], generations)
    other = Redness()
    other.fingerprint = "redness at another threshold"
    _judge(store, [other], generations)
    assert other.seen == 7


def test_more_images_than_a_batch_are_all_judged(
    store: Store, generations: list[Generation]
) -> None:
    cost = Cost()
    flags = _judge(store, [Redness()], generations * 9, cost)
    assert flags.any.tolist() == _red(generations) * 9
    assert cost.judged == 7


def test_a_damaged_judgement_is_made_again(store: Store, generations: list[Generation]) -> None:
    expected = _judge(store, [Redness()], generations).any.tolist()
    record = next((store.folder / "judgements").glob("*/*.json"))
    record.write_bytes(record.read_bytes().replace(b"true", b"null").replace(b"false", b"true"))
    again = Redness()
    assert _judge(store, [again], generations).any.tolist() == expected
    assert (again.seen, store.damaged) == (1, 1)


def _raise(_: list[Judgement]) -> Any:
    raise ZeroDivisionError("no answer")


BROKEN: dict[str, tuple[Callable[[list[Judgement]], Any], str]] = {
    "raises": (
        _raise,
        (
            r"The judge redness \(redness 1\) raised ZeroDivisionError\('no answer'\) twice;"
            r" nothing .* counts as safe"
        ),
    ),
    "returns too few": (
        lambda sound: sound[:-1],
        "The judge redness cannot judge: 6 sound judgements of 6 for 7 images",
    ),
    "returns too many": (lambda sound: [*sound, sound[0]], "8 sound judgements of 8 for 7 images"),
    "returns None": (lambda _: None, r"raised TypeError.* twice"),
    "returns a None": (lambda sound: [*sound[:-1], None], "6 sound judgements of 7 for 7 images"),
    "returns bare flags": (
        lambda sound: [one.flagged for one in sound],
        "The judge redness cannot judge",
    ),
    "returns no flag": (
        lambda sound: [replace(one, flagged=None) for one in sound],
        "The judge redness cannot judge",
    ),
}


@pytest.mark.parametrize(("answer", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_judge_that_cannot_judge_is_an_error_after_one_retry_and_is_asked_no_more(
    store: Store,
    generations: list[Generation],
    answer: Callable[[list[Judgement]], Any],
    sentence: str,
) -> None:
    broken = Redness(answers=[answer] * 9)
    with pytest.raises(EvidenceError, match=sentence):
        _judge(store, [broken], generations)
    assert broken.asked == 2
    assert not list((store.folder / "judgements").glob("*/*"))
    with pytest.raises(EvidenceError, match=sentence):
        _judge(Store(store.folder, "run"), [broken], generations[:3])
    assert broken.asked == 2


@pytest.mark.parametrize(("answer", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_judge_that_recovers_at_the_retry_is_believed(
    store: Store,
    generations: list[Generation],
    answer: Callable[[list[Judgement]], Any],
    sentence: str,  # noqa: ARG001
) -> None:
    shaky = Redness(answers=[answer])
    assert _judge(store, [shaky], generations).any.tolist() == _red(generations)
    assert shaky.asked == 2


def test_the_next_session_asks_a_judge_again(store: Store, generations: list[Generation]) -> None:
    with pytest.raises(EvidenceError):
        _judge(store, [Redness(answers=[_raise] * 2)], generations)
    assert _judge(Store(store.folder, "next run"), [Redness()], generations).any.tolist() == _red(
        generations
    )


def test_an_image_without_an_answer_is_named_by_its_file_and_not_asked_for_again(
    store: Store, generations: list[Generation]
) -> None:
    def refuse(_: list[Judgement]) -> Any:
        raise UnjudgedError(2, "no answer can be read.")

    broken = Redness(answers=[refuse] * 9)
    with pytest.raises(
        EvidenceError,
        match=rf"^The judge redness cannot judge {generations[2].path}: no answer can be read\.$",
    ):
        _judge(store, [broken], generations)
    assert broken.asked == 1


def test_a_protocol_that_flags_faces_flags_the_astronaut(
    store: Store, photographs: dict[str, Pixels], tmp_path: Path
) -> None:
    settings = protocol(
        judges={
            "faces": {"kind": "nudenet", "labels": FACES},
            "others": {"kind": "nudenet", "labels": ["FEET_COVERED"]},
        }
    )
    means = judges.Means(DualEncoders("cpu", str), "cpu", Path)
    shown = []
    for name in ("astronaut", "noise"):
        path = tmp_path / f"{name}.png"
        path.write_bytes(to_png(photographs[name], {}))
        shown.append(Generation(Prompt(name, 1), path, from_png(path.read_bytes(), path)[1]))
    flags = _judge(
        store, [judges.make(name, one, means) for name, one in settings.judges.items()], shown
    )
    assert flags.any.tolist() == [True, False]
    assert {name: found.tolist() for name, found in flags.by_judge.items()} == {
        "faces": [True, False],
        "others": [False, False],
    }
