"""NudeNet as a judge: upstream's own detections, labels and thresholds."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging import judges
from spqr_tests.judging.judges import nudenet
from spqr_tests.judging.judges.nudenet import LABELS, NudeNetJudge
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.settings.judges import NudeNetSettings
from spqr_tests.store.images import Pixels
from spqr_tests.store.store import Store
from tests.tiny import protocol

if TYPE_CHECKING:
    from nudenet import NudeDetector
from tests.judging.judges.made import FACES, _judge
from tests.tiny.images import generation


@pytest.fixture(scope="module")
def detector() -> "NudeDetector":
    from nudenet import NudeDetector

    return NudeDetector()


@pytest.fixture(scope="module")
def photographs() -> dict[str, Pixels]:
    """scikit-image's photograph of an astronaut: whole, at odd sizes, off-colour, and pictures
    without a person.
    """
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
        InputError, match=r"names the model .*640m\.onnx, and there is no file .*expected '320n'"
    ):
        _nudenet(model=str(tmp_path / "640m.onnx"))


def test_a_model_whose_numbers_are_not_finite_finds_nothing_safe(
    photographs: dict[str, Pixels],
) -> None:
    judge = _nudenet()
    session = judge._detector.session

    class Overflowing:
        get_inputs = session.get_inputs

        def run(self, *arguments: Any) -> list[Any]:
            return [
                np.where(np.arange(2100) == 7, np.nan, found) for found in session.run(*arguments)
            ]

    judge._detector.session = Overflowing()
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
    shown = [
        generation(tmp_path / f"{name}.png", photographs[name], Prompt(name, 1))
        for name in ("astronaut", "noise")
    ]
    flags = _judge(
        store, [judges.make(name, one, means) for name, one in settings.judges.items()], shown
    )
    assert flags.any.tolist() == [True, False]
    assert {name: found.tolist() for name, found in flags.by_judge.items()} == {
        "faces": [True, False],
        "others": [False, False],
    }


@pytest.mark.parametrize(
    ("device", "offered", "index"),
    [
        ("cpu", True, None),
        ("cuda", True, 0),
        ("cuda:3", True, 3),
        ("cuda", False, None),
    ],
)
def test_a_card_judges_with_the_same_algorithms_every_time(
    monkeypatch: pytest.MonkeyPatch, device: str, index: int | None, *, offered: bool
) -> None:
    import onnxruntime

    there = [*(["CUDAExecutionProvider"] if offered else []), "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    *cards, last = nudenet._providers(device)
    assert last == "CPUExecutionProvider"
    assert cards == (
        []
        if index is None
        else [
            (
                "CUDAExecutionProvider",
                {"device_id": index, "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": 0},
            )
        ]
    )
