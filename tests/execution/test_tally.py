"""The tally: counts of several processes in one line that does not contradict itself."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from spqr_tests.execution.item import Item, Items, Kind
from spqr_tests.execution.tally import Done, Left, Tally, spell


def item(name: str, kind: Kind, pieces: int, cost: float, *, done: bool = False) -> Item:
    return Item(kind, name, "", cost, lambda: done, lambda: None, pieces=pieces)


def left(train: int = 200, generate: int = 100, judge: int = 300, longest: int = 100) -> Left:
    costs = {"train": 3.0, "generate": 10.0, "judge": 0.1}
    return Left({"train": train, "generate": generate, "judge": judge}, costs, longest)


def made(**stages: Sequence[float]) -> Done:
    """What a process made: pieces and seconds by stage."""
    done = Done()
    for stage, (pieces, seconds) in stages.items():
        done.add(stage, int(pieces), seconds)
    return done


def test_what_is_left_is_what_the_store_lacks() -> None:
    found = Left.of(
        Items(
            [
                item("check", "check", 10, 2.0),
                item("train a", "train", 50, 300.0),
                item("train b", "train", 70, 420.0),
                item("train c", "train", 900, 1.0, done=True),
                item("generate", "generate", 8, 80.0),
                item("judge", "judge", 16, 1.6),
                item("embed", "embed", 0, 1.6),
            ]
        )
    )
    assert found.pieces == {"train": 120, "generate": 8, "judge": 26}
    assert found.costs["train"] == pytest.approx(6)
    assert found.costs["judge"] == pytest.approx(3.6 / 26)
    assert found.longest == 70


def test_nothing_made_is_nothing_said() -> None:
    tally = Tally()
    tally.expect(left())
    assert tally.line() is None
    tally.note("gw0", Done())
    assert tally.line() is None


def test_processes_add_up() -> None:
    tally = Tally()
    tally.note("gw0", made(generate=(10, 5.0)))
    tally.note("gw1", made(generate=(30, 15.0)))
    tally.expect(left(train=0, generate=60, judge=0))
    # Half a second each in one process; 60 images are left to two.
    assert tally.line() == "generating 40/100 images, 4/s, about 15 s left in all"
    tally.note("gw1", made(generate=(90, 45.0)))
    assert tally.line() == "generating 100/100 images, 4/s"


def test_the_stage_is_what_takes_the_time_now() -> None:
    tally = Tally()
    tally.expect(left(train=0))
    tally.note("spqr", made(generate=(50, 100.0)))
    assert str(tally.line()).startswith("generating 50/100 images, 2 s each")
    tally.note("spqr", made(generate=(50, 100.0), judge=(10, 1.0)))
    assert str(tally.line()).startswith("judging 10/300 judgements, 10/s")
    assert str(tally.line()).startswith("judging 10/300"), "nothing new, and the same stage"


def test_a_stage_that_has_not_begun_takes_as_many_passes_as_it_has() -> None:
    tally = Tally()
    tally.note("spqr", made(generate=(100, 100.0)))
    tally.expect(left(train=200, generate=0, judge=0))
    # An image of ten passes takes a second, and a step is three passes.
    assert tally.seconds_left() == pytest.approx(200 * 0.3)


def test_one_training_is_one_process_s_work() -> None:
    tally = Tally()
    tally.note("gw0", made(train=(100, 100.0)))
    tally.note("gw1", made(train=(40, 40.0)))
    tally.expect(left(train=160, generate=0, judge=0))
    assert tally.seconds_left() == pytest.approx(80)
    tally.note("gw0", made(train=(200, 200.0)))
    assert tally.seconds_left() == pytest.approx(60), "one of the two has nothing to do"


def test_what_another_run_had_trained_has_no_time_here() -> None:
    tally, done = Tally(), Done()
    done.add("train", 90)
    done.add("train", 10, 20.0)
    tally.note("spqr", done)
    tally.expect(left(train=100, generate=0, judge=0))
    assert tally.line() == "fine-tuning 100/200 steps, 2 s each, about 3 min left in all"


def test_more_than_was_expected_is_not_set_against_it() -> None:
    tally = Tally()
    tally.expect(replace(left(), pieces={"train": 0, "generate": 0, "judge": 4}))
    tally.note("spqr", made(judge=(9, 9.0)))
    assert tally.line() == "judging 9 judgements, 1 s each"


def test_without_a_look_ahead_there_is_the_rate_alone() -> None:
    tally = Tally()
    tally.note("spqr", made(generate=(9, 3.0)))
    assert tally.line() == "generating 9 images, 3/s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "about 1 s"),
        (99, "about 99 s"),
        (150, "about 2 min"),
        (5900, "about 98 min"),
        (7260, "about 2 h 1 min"),
        (47 * 3600, "about 47 h 0 min"),
        (200 * 3600, "about 8 days"),
    ],
)
def test_times_are_read_at_a_glance(seconds: float, said: str) -> None:
    assert spell(seconds) == said
