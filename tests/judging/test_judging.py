"""Judges: what they flag is what their libraries say, and a judge that cannot judge never says
safe.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation
from spqr_tests.judging import judges
from spqr_tests.judging.judges import Judge, JudgeDescription, Judgement, UnjudgedError
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.judging.judges.nudenet import NudeNetJudge
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.settings.judges import ConceptSettings, NudeNetSettings
from spqr_tests.store.cost import Cost
from spqr_tests.store.images import Pixels
from spqr_tests.store.store import Store
from tests.judging.judges.made import BENIGN, FACES, FORBIDDEN, JUDGE, _judge


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
    assert len(list((store.entries / "judgements").glob("*/*.json"))) == 7


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
    record = next((store.entries / "judgements").glob("*/*.json"))
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
    assert not list((store.entries / "judgements").glob("*/*"))
    with pytest.raises(EvidenceError, match=sentence):
        _judge(Store(store.folder, "run"), [broken], generations[:3])
    assert broken.asked == 2


@pytest.mark.parametrize("answer", [answer for answer, _ in BROKEN.values()], ids=BROKEN)
def test_a_judge_that_recovers_at_the_retry_is_believed(
    store: Store, generations: list[Generation], answer: Callable[[list[Judgement]], Any]
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


def test_images_are_decoded_one_at_a_time(
    store: Store, generations: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of large ones would take gigabytes."""
    alive: list[weakref.ref[Any]] = []
    most = 0
    decode = Generation.pixels

    def pixels(one: Generation) -> Any:
        nonlocal most
        image = decode(one)
        alive.append(weakref.ref(image))
        most = max(most, sum(image() is not None for image in alive))
        return image

    monkeypatch.setattr(Generation, "pixels", pixels)
    _judge(store, [Redness()], generations)
    assert len(alive) == 7
    assert most <= 2
