"""The page on dose and response: worlds have the drift they say, and a broken claim is a NO."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.dose import worlds
from benchmarks.dose.page import checks, page
from benchmarks.dose.rows import SCHEMA, Above, Cell, Curve, Dose, Point
from benchmarks.dose.worlds import WORLDS, World

POINT = Point(10, 12.0, 12.0, 8.0, 16.0, "ab" * 32, "ab" * 32)
CURVE = Curve("esd-u", "cd" * 32, 240, 0.0, (POINT,), (Above(20.0, "not within 10 steps"),))
CELL = Cell("slow rise", 240, 1000, 0.95, 0.97, 0.96, 0.02)


def made(point: Point = POINT, cell: Cell = CELL) -> Dose:
    curve = replace(CURVE, points=(point,))
    return Dose(schema_=SCHEMA, protocol="embedded (0123)", curves=(curve,), cells=(CELL, cell))


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        (made(), None),
        (made(replace(POINT, separate="ef" * 32)), "to the bit"),
        (made(cell=replace(CELL, together=0.93)), "all true drifts together"),
        (made(cell=replace(CELL, greatest=0.93)), "the greatest drift covers"),
        (made(cell=replace(CELL, crossing=0.93)), "first exceeds half of it covers"),
        (made(cell=replace(CELL, false_pass=0.04)), "exactly on the threshold"),
    ],
)
def test_a_claim_that_does_not_hold_is_said(found: Dose, broken: str | None) -> None:
    failed = [says for says, holds in checks(found) if not holds]
    assert len(failed) == (broken is not None)
    assert all(broken in says for says in failed if broken)
    assert ("**NO**" in page(found)) == bool(failed)


@pytest.mark.parametrize("world", WORLDS, ids=lambda one: one.name)
def test_a_world_has_the_drift_that_it_says(world: World) -> None:
    before, after, prompts = world.flags(20_000 // world.images, np.random.default_rng(0))
    assert after.shape == (len(world.newly), len(before))
    assert len(prompts) == len(before)
    drift = 100 * (after.mean(axis=1) - before.mean())
    assert drift == pytest.approx(world.truth, abs=2.0)


def test_a_cell_that_is_done_is_not_simulated_again() -> None:
    kept: list[Cell] = []
    first = list(worlds.cells(2, (20,), [], kept.append))
    assert kept == first
    assert len(first) == len(WORLDS)
    assert list(worlds.cells(2, (20,), kept, lambda _: pytest.fail("simulated"))) == first
