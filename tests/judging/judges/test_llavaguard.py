"""LlavaGuard through transformers, on tiny models: answers are read, and what is no answer is an error, never 'safe'."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges import Judgement, UnjudgedError, model_files
from spqr_tests.judging.judges.llavaguard import LlavaGuardJudge
from spqr_tests.judging.judges.model_files import ModelFiles
from spqr_tests.judging.judges.policy import OWN
from spqr_tests.settings.judges import LlavaGuardSettings
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels
from tests.checkpoint.formats import hub_server
from tests.tiny import llava

SAFE = '{"rating": "Safe", "category": "NA: None applying", "rationale": "a drawing"}'
UNSAFE = (
    '{"rating": "Unsafe", "category": "O2: Violence, Harm, or Cruelty", "rationale": "a stand-in"}'
)
REST = (
    'NA: None applying", "rationale": "a drawing"}',
    'O4: Nudity Content", "rationale": "a stand-in"}',
)
PASSED, FLAGGED = (
    Judgement(flagged=False),
    Judgement(True, (("O2: Violence, Harm, or Cruelty", 1.0),)),
)
SECOND = ("second attempt", 1.0)
BRIEF = Path(llava.__file__).with_name("policy.txt")
"""Two of the suite's own nine categories, in few tokens."""


@pytest.fixture(scope="module")
def bright() -> list[Pixels]:
    """Three of different sizes, so that a batch is filled up."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(190, 256, (height, width, 3), dtype=np.uint8)
        for height, width in ((32, 32), (61, 97), (20, 90))
    ]


@pytest.fixture(scope="module")
def dark() -> list[Pixels]:
    rng = np.random.default_rng(1)
    return [
        rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        for height, width in ((32, 32), (90, 20), (28, 56))
    ]


@pytest.fixture(scope="module")
def fluent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers that dark pictures are unsafe."""
    folder = tmp_path_factory.mktemp("models") / "fluent"
    llava.rig(folder, (SAFE, UNSAFE), REST)
    return folder


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    llava.build(folder)
    return folder


@pytest.fixture
def copy(fluent: Path, tmp_path: Path) -> Path:
    """A copy of the fluent model to damage."""
    return Path(shutil.copytree(fluent, tmp_path / "copy"))


def _judge(model: Path | str, **settings: Any) -> LlavaGuardJudge:
    table = {
        "kind": "llavaguard",
        "model": str(model),
        "dtype": "float32",
        "batch": 4,
        "max_new_tokens": 24,
        "policy": str(BRIEF),
    }
    return LlavaGuardJudge(
        "guard", LlavaGuardSettings.model_validate(table | settings), "cpu", Path
    )


def _rigged(
    folder: Path,
    first: tuple[str, str],
    rest: tuple[str, str] = REST,
    choice: str = "SU",
    **settings: Any,
) -> LlavaGuardJudge:
    llava.rig(folder, first, rest, choice)
    return _judge(folder, **settings)


# Answers


@pytest.mark.parametrize("batch", [1, 2, 4, 6])
def test_what_the_model_rates_unsafe_is_flagged_whatever_the_batch(
    fluent: Path, bright: list[Pixels], dark: list[Pixels], batch: int
) -> None:
    images = [bright[0], dark[0], dark[1], bright[1], bright[2], dark[2]]
    assert _judge(fluent, batch=batch).judge(images) == [
        PASSED,
        FLAGGED,
        FLAGGED,
        PASSED,
        PASSED,
        FLAGGED,
    ]


def test_a_batch_says_what_each_image_alone_says(
    random_model: Path, bright: list[Pixels], dark: list[Pixels]
) -> None:
    images, model = [*bright, *dark], _judge(random_model)._model
    alone = [model.answers([image], [""], 16)[0] for image in images]
    assert model.answers(images, [""] * len(images), 16) == alone
    assert all(alone)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_the_precision_will_do(
    fluent: Path, bright: list[Pixels], dark: list[Pixels], dtype: str
) -> None:
    judge = _judge(fluent, dtype=dtype)
    assert judge.judge([bright[0], dark[0], bright[1]]) == [PASSED, FLAGGED, PASSED]
    assert {str(one.dtype) for one in judge._model._loaded[0].parameters()} == {f"torch.{dtype}"}


def test_no_images_have_no_judgements(fluent: Path) -> None:
    assert _judge(fluent).judge([]) == []


def test_the_question_is_the_policy_beside_the_image(
    fluent: Path, bright: list[Pixels], dark: list[Pixels]
) -> None:
    judge = _judge(fluent, policy=None)
    assert judge.judge([bright[0], dark[0]]) == [PASSED, FLAGGED]
    _, _, prompt = judge._model._loaded
    assert prompt == f"<|im_start|>user\n<image>{OWN.text}<|im_end|>\n<|im_start|>assistant\n"


def test_categories_are_those_of_the_policy_that_it_is_asked_with(
    tmp_path: Path, dark: list[Pixels]
) -> None:
    policy = tmp_path / "mine.txt"
    policy.write_text(
        'O1: Glyphs\nAnswer {"rating": "Safe" or "Unsafe", "category": .., "rationale": ..}',
        encoding="utf-8",
    )
    glyphs = '{"rating": "Unsafe", "category": "O1: Glyphs", "rationale": "a stand-in"}'
    rest = 'O1: Glyphs", "rationale": "a stand-in"}'
    judge = _rigged(tmp_path / "model", (glyphs, glyphs), (rest, rest), policy=str(policy))
    assert judge.judge(dark[:1]) == [Judgement(True, (("O1: Glyphs", 1.0),))]
    with pytest.raises(UnjudgedError, match="the category is none of the policy's"):
        _judge(tmp_path / "model").judge(dark[:1])


# Second attempts


@pytest.mark.parametrize(
    "first",
    [
        "no idea",
        SAFE[:-1],
        '{"rating": "Perhaps", "category": "NA", "rationale": "x"}',
        '{"category": "NA"}',
    ],
    ids=["prose", "cut off", "another rating", "no rating"],
)
def test_an_answer_that_cannot_be_read_is_asked_for_again(
    tmp_path: Path, bright: list[Pixels], first: str
) -> None:
    judge = _rigged(tmp_path / "model", (first, first))
    assert judge.judge(bright) == [Judgement(False, (SECOND,))] * 3


def test_the_second_rating_is_the_models_own_and_noted(
    tmp_path: Path, bright: list[Pixels], dark: list[Pixels]
) -> None:
    judge = _rigged(tmp_path / "model", ("no idea", "no idea"))
    flagged = Judgement(True, (("O4: Nudity Content", 1.0), SECOND))
    assert judge.judge([dark[0], bright[0], dark[1]]) == [
        flagged,
        Judgement(False, (SECOND,)),
        flagged,
    ]


def test_only_what_could_not_be_read_is_asked_for_again(
    tmp_path: Path, bright: list[Pixels], dark: list[Pixels]
) -> None:
    judge = _rigged(tmp_path / "model", (SAFE, "no idea"))
    assert [
        SECOND in found.reasons for found in judge.judge([bright[0], dark[0], bright[1], dark[1]])
    ] == [
        False,
        True,
        False,
        True,
    ]


CONTRADICTIONS: dict[str, tuple[str, tuple[str, str], str, str]] = {
    "unsafe, and no category, and safe when asked again": (
        '{"rating": "Unsafe", "category": "NA: None applying", "rationale": "x"}',
        (REST[0], REST[0]),
        "SS",
        (
            "contradicts itself: Unsafe, and no category applies; it says Unsafe there, and Safe"
            " when asked again"
        ),
    ),
    "cut off after safe, and unsafe when asked again": (
        '{"rating": "Safe", "category": "O4',
        (REST[1], REST[1]),
        "UU",
        "was cut off before its end; it says Safe there, and Unsafe when asked again",
    ),
    "cut off after unsafe, and safe when asked again": (
        '{"rating": "Unsafe", "category": "O4',
        (REST[0], REST[0]),
        "SS",
        "was cut off before its end; it says Unsafe there, and Safe when asked again",
    ),
    "two ratings": (
        '{"rating": "Unsafe", "rating": "Safe", "category": "NA", "rationale": "x"}',
        (REST[0], REST[0]),
        "SS",
        "a key stands twice; it says Unsafe there, and Safe when asked again",
    ),
    "unsafe, and no category, twice": (
        '{"rating": "Unsafe", "category": "NA: None applying", "rationale": "x"}',
        (REST[0], REST[0]),
        "UU",
        (
            r"and so it is when asked again \(the answer contradicts itself: Unsafe, and no"
            r" category applies"
        ),
    ),
    "garbage, then a category that there is not": (
        "no idea",
        ('O12: Other", "rationale": "x"}',) * 2,
        "SS",
        r"and so it is when asked again \(the category is none of the policy's",
    ),
    "garbage, then cut off": (
        "no idea",
        ('NA: None applying", "ratio',) * 2,
        "SS",
        r"and so it is when asked again \(.*cut off",
    ),
}


@pytest.mark.parametrize(
    ("first", "rest", "choice", "sentence"), CONTRADICTIONS.values(), ids=CONTRADICTIONS
)
def test_attempts_that_contradict_or_cannot_be_read_are_errors_and_name_the_image(
    tmp_path: Path,
    bright: list[Pixels],
    dark: list[Pixels],
    first: str,
    rest: tuple[str, str],
    choice: str,
    sentence: str,
) -> None:
    # Bright pictures are answered, dark ones are not; a batch of two ends before the first of
    # these.
    judge = _rigged(tmp_path / "model", (SAFE, first), rest, choice, batch=2)
    assert judge.judge(bright) == [PASSED] * 3
    with pytest.raises(UnjudgedError, match=sentence) as refused:
        judge.judge([bright[0], bright[1], bright[2], dark[0]])
    assert refused.value.position == 3


def test_garbage_is_an_error(random_model: Path, bright: list[Pixels], dark: list[Pixels]) -> None:
    for images in (bright, dark):
        with pytest.raises(
            UnjudgedError, match=r"^image 1: the answer is not JSON.*max_new_tokens is 24"
        ):
            _judge(random_model).judge(images)


def test_numbers_that_are_not_finite_are_an_error(copy: Path, bright: list[Pixels]) -> None:
    _edit_tensors(
        copy,
        lambda tensors: tensors[next(name for name in tensors if "linear_1.weight" in name)].fill_(
            float("nan")
        ),
    )
    with pytest.raises(EvidenceError, match="its numbers are not finite"):
        _judge(copy).judge(bright)


# Files


def _edit_tensors(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def test_a_model_that_lacks_weights_is_refused(copy: Path, bright: list[Pixels]) -> None:
    _edit_tensors(
        copy, lambda tensors: tensors.pop(next(name for name in tensors if "v_proj.weight" in name))
    )
    with pytest.raises(EvidenceError, match="has 1 missing keys, such as "):
        _judge(copy).judge(bright)


def test_a_model_that_cannot_be_loaded_is_named(copy: Path, bright: list[Pixels]) -> None:
    (copy / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"The model .*copy could not be loaded: "):
        _judge(copy).judge(bright)


def test_the_code_of_a_folder_is_not_run(copy: Path, bright: list[Pixels], tmp_path: Path) -> None:
    (copy / "intruder.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    for name, classes in (
        ("config.json", ("AutoConfig", "AutoModel")),
        ("processor_config.json", ("AutoProcessor",)),
    ):
        table = json.loads((copy / name).read_text(encoding="utf-8"))
        table["auto_map"] = dict.fromkeys(classes, "intruder.Thing")
        (copy / name).write_text(json.dumps(table), encoding="utf-8")
    assert _judge(copy).judge(bright) == [PASSED] * 3
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"has no readable config\.json"),
        (lambda folder: (folder / "config.json").write_text("{"), r"has no readable config\.json"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "llava"}'),
            "of the type 'llava'; expected is 'llava_onevision'",
        ),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            r"has no \.safetensors file, and pickles are not read",
        ),
    ],
)
def test_a_folder_that_is_no_such_model_is_refused_at_once(
    copy: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(copy)
    with pytest.raises(InputError, match=rf"The judge guard names the model .*{sentence}"):
        _judge(copy)


@pytest.mark.parametrize("named", ["no/such/folder/here", "/nowhere", "data:guard"])
def test_a_model_that_is_neither_folder_nor_hub_id_is_refused(named: str) -> None:
    with pytest.raises(
        InputError,
        match=(
            rf"The judge guard names the model {named}: there is no folder .*, and it is no hub id"
        ),
    ):
        _judge(named)


# The hub


@pytest.fixture
def hub(fluent: Path) -> Iterator[hub_server.Hub]:
    with hub_server.running() as running:
        running.repositories["org/guard"] = hub_server.Repository()
        running.repositories["org/guard"].commit(
            hub_server.files(fluent)
            | {
                "pytorch_model.bin": b"a pickle",
                "intruder.py": b"1",
                "more/model.safetensors": b"",
            }
        )
        yield running


Find = Callable[..., ModelFiles]


@pytest.fixture
def find(hub: hub_server.Hub, tmp_path: Path) -> Find:
    def found(revision: str = "main", named: str = "org/guard") -> ModelFiles:
        return model_files.find(
            named,
            revision,
            "llava_onevision",
            "guard",
            Path,
            endpoint=hub.endpoint,
            cache=tmp_path / "cache",
        )

    return found


def test_a_model_comes_from_the_hub_at_one_commit(
    hub: hub_server.Hub, find: Find, fluent: Path, bright: list[Pixels], dark: list[Pixels]
) -> None:
    repository = hub.repositories["org/guard"]
    first = find()
    assert first.commit == repository.find("main") == first.folder.name
    assert sorted(hub.served) == sorted(hub_server.files(fluent))
    assert _judge(first.folder).judge([bright[0], dark[0]]) == [PASSED, FLAGGED]
    repository.commit(hub_server.files(fluent) | {"README.md": b"changed"})
    assert find().fingerprint != first.fingerprint
    assert find(first.commit) == first


def test_without_a_network_the_cache_is_used(
    hub: hub_server.Hub, find: Find, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = find()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.status = 500
    assert find() == first
    with pytest.raises(
        InputError,
        match=(
            rf"its revision v9 is not in the cache {tmp_path / 'cache'}, and HF_HUB_OFFLINE is set"
        ),
    ):
        find("v9")


@pytest.mark.parametrize(
    ("named", "revision", "sentence"),
    [
        ("org/gard", "main", "there is no such path, and no such repository"),
        ("org/guard", "v9", "has no revision v9"),
        ("org/empty", "main", "the repository has no model that transformers reads"),
    ],
)
def test_what_the_hub_has_not_is_a_sentence(
    hub: hub_server.Hub, find: Find, named: str, revision: str, sentence: str
) -> None:
    hub.repositories["org/empty"] = hub_server.Repository()
    hub.repositories["org/empty"].commit({"README.md": b""})
    with pytest.raises(
        InputError, match=rf"^The judge guard names the model {named}: .*{sentence}"
    ):
        find(revision, named)


def test_a_branch_that_moves_meanwhile_is_refused(
    hub: hub_server.Hub, find: Find, fluent: Path
) -> None:
    repository = hub.repositories["org/guard"]
    first, commit = (
        repository.find("main"),
        repository.commit(hub_server.files(fluent) | {"README.md": b"changed"}),
    )
    assert first is not None
    repository.revisions["main"] = first
    hub.moves[""] = commit
    with pytest.raises(
        InputError, match="its revision main moved while it was read; run again, or name a commit"
    ):
        find()


# Fingerprints


@pytest.mark.parametrize(
    "file",
    [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "processor_config.json",
        "chat_template.jinja",
    ],
)
def test_the_fingerprint_is_of_the_files(fluent: Path, copy: Path, file: str) -> None:
    assert _judge(copy).describe().fingerprint == _judge(fluent).describe().fingerprint
    with (copy / file).open("ab") as end:
        end.write(b" ")
    assert _judge(copy).describe().fingerprint != _judge(fluent).describe().fingerprint


@pytest.mark.parametrize(
    "changed", [{"max_new_tokens": 25}, {"dtype": "bfloat16"}, {"batch": 2}], ids=str
)
def test_the_fingerprint_is_of_the_settings(fluent: Path, changed: dict[str, Any]) -> None:
    assert _judge(fluent, **changed).describe().fingerprint != _judge(fluent).describe().fingerprint


def test_the_fingerprint_is_of_the_policys_text(fluent: Path, tmp_path: Path) -> None:
    own, other = tmp_path / "own.txt", tmp_path / "other.txt"
    own.write_text(OWN.text, encoding="utf-8")
    other.write_text(OWN.text + "\n", encoding="utf-8")
    default = _judge(fluent, policy=None).describe().fingerprint
    assert _judge(fluent, policy=str(own)).describe().fingerprint == default
    assert _judge(fluent, policy=str(other)).describe().fingerprint != default


def test_a_local_model_is_named_by_its_files(fluent: Path) -> None:
    described = _judge(fluent).describe()
    assert (described.name, described.settings["revision"]) == ("guard", None)
    assert described.version.startswith("LlavaGuard through transformers ")
    assert len(described.fingerprint) == len(digest.of_json({}))
