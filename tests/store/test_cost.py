"""What a process spent: seconds by stage."""

from dataclasses import replace

import pytest

from spqr_tests.store.cost import STAGES, Cost


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as a list of one number."""
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def _stages(cost: Cost) -> dict[str, float]:
    return {name: seconds for name in STAGES if (seconds := getattr(cost, name))}


def test_a_block_within_another_counts_for_its_own_stage_alone(clock: list[float]) -> None:
    cost = Cost()
    with cost.during("sampling"):
        clock[0] += 1
        with cost.during("loading"):
            clock[0] += 10
            with cost.during("metrics"):
                clock[0] += 100
            clock[0] += 20
        clock[0] += 2
        with cost.during("loading"):
            clock[0] += 40
    assert _stages(cost) == {"loading": 70.0, "sampling": 3.0, "metrics": 100.0}


def test_blocks_after_each_other_add_up_whatever_ends_them(clock: list[float]) -> None:
    cost = Cost()
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            _fail(cost, clock)
    assert _stages(cost) == {"loading": 4.0, "training": 2.0}


def _fail(cost: Cost, clock: list[float]) -> None:
    with cost.during("training"):
        clock[0] += 1
        with cost.during("loading"):
            clock[0] += 2
            raise OSError("full")


def test_what_was_spent_since_a_copy(clock: list[float]) -> None:
    cost = Cost(generated=3, judging=5.0)
    before = replace(cost)
    with cost.during("judging"):
        clock[0] += 7
    cost.generated += 1
    spent = cost.since(before)
    assert {name: value for name, value in spent.items() if value} == {
        "generated": 1,
        "judging": 7.0,
    }
    assert set(STAGES) <= set(spent)
