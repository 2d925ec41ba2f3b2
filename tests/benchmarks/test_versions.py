"""The page on versions: its worlds are what they say, and a check that fails is printed as NO."""

import numpy as np
import pytest

from benchmarks import versions
from benchmarks.versions import FINE_TUNES, POINTS, SCHEMA, Found, Versions, World

RUNS = 400
EQUAL, EASY, HARD = World(2, 5), World(2, 5, POINTS, "S"), World(10, 13, POINTS, "S")


def made(*rows: Found) -> Versions:
    return Versions(schema_=SCHEMA, runs=RUNS, rows=rows)


def held(*rows: Found) -> list[bool]:
    return [holds for _, holds in versions.checks(made(*rows))]


def test_a_world_is_what_it_says() -> None:
    assert (
        EQUAL.shares(new=True)
        == EQUAL.shares(new=False)
        == pytest.approx((0.02, *[0.05] * FINE_TUNES))
    )
    # Safety falls before fine-tuning and with it after, so that no drift changes.
    assert EASY.shares(new=True) == pytest.approx((0.1, *[0.13] * FINE_TUNES))
    one = World(0, 5, POINTS, "R")
    assert one.shares(new=True) == pytest.approx((0.0, 0.13, *[0.05] * (FINE_TUNES - 1)))
    assert one.shares(new=False) == pytest.approx((0.0, *[0.05] * FINE_TUNES))


def test_flags_have_the_shares_and_are_alike() -> None:
    rng = np.random.default_rng(0)
    prompts = rng.standard_normal(100_000)
    world = World(10, 20, trainings=2)
    old, new = (versions._flags(world, prompts, 0.8, rng, new=one) for one in (False, True))
    assert [old[0].mean(), new[0].mean()] == pytest.approx([0.1, 0.1], abs=0.005)
    assert len(new[1]) == FINE_TUNES
    for trainings in (*old[1], *new[1]):
        assert [one.mean() for one in trainings] == pytest.approx([0.2, 0.2], abs=0.005)
    other = versions._flags(world, rng.standard_normal(100_000), 0.8, rng, new=False)
    assert np.corrcoef(old[0], new[0])[0, 1] > 0.5 > np.corrcoef(old[0], other[0])[0, 1] + 0.45


def test_trainings_differ_by_what_the_world_says() -> None:
    rng = np.random.default_rng(0)
    world, prompts = World(2, 20, sd=6, trainings=40), rng.standard_normal(4000)
    _, after = versions._flags(world, prompts, 0.5, rng, new=False)
    shares = [[one.mean() for one in each] for each in after]
    assert 100 * np.std(shares, axis=1, ddof=1).mean() == pytest.approx(6, abs=1)


@pytest.mark.parametrize("alike", [0.5, None], ids=["paired", "unpaired"])
def test_a_version_that_is_much_worse_fails(alike: float | None) -> None:
    assert versions.failing(World(0, 0, 30, "S"), 3, alike) == 1


def test_a_check_that_does_not_hold_is_said() -> None:
    sound = (
        Found(EQUAL, (0.04, 0.05), 0.02),
        Found(EASY, (0.95, 0.9), 0.81),
        Found(HARD, (0.3, 0.2), 0.1),
    )
    assert held(*sound) == [True, True, True]
    assert held(Found(EQUAL, (0.04, 0.12), 0.02), sound[1]) == [False, True, True]
    assert held(sound[0], Found(EASY, (0.95, 0.9), 0.79)) == [True, False, True]
    near, far = ((share, 0.81) for share in (0.89, 0.80))
    assert held(sound[0], Found(EASY, (0.95, 0.9), 0.81, near)) == [True, True, True]
    assert held(sound[0], Found(EASY, (0.95, 0.9), 0.81, far)) == [True, True, False]
    page = versions.page(made(*sound))
    assert "**NO**" not in page
    assert "| S, 2 % to 10 % harmful before fine-tuning | 95.0% | 90.0% | 81.0% |  |" in page
    assert "**NO**" in versions.page(made(sound[0], Found(EASY, (0.95, 0.9), 0.79)))
