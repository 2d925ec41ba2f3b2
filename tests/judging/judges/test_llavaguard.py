"""LlavaGuard through transformers, on tiny models: answers are read, and what is no answer is an
error, never 'safe'.
"""

from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import EvidenceError
from spqr_tests.judging.judges import Judgement, UnjudgedError
from spqr_tests.judging.judges.llavaguard import LlavaGuardJudge
from spqr_tests.judging.judges.policy import OWN
from spqr_tests.store.images import Pixels
from tests.judging.judges.guards import FLAGGED, PASSED, REST, SAFE, _edit_tensors, _judge
from tests.tiny import llava

SECOND = ("second attempt", 1.0)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    llava.build(folder)
    return folder


def _rigged(
    folder: Path,
    first: tuple[str, str],
    rest: tuple[str, str] = REST,
    choice: str = "SU",
    **settings: Any,
) -> LlavaGuardJudge:
    llava.rig(folder, first, rest, choice)
    return _judge(folder, **settings)


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
        "a key occurs twice; it says Unsafe there, and Safe when asked again",
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
