"""The page on coverage: laws agree with draws, worlds are what they say, failing checks are NO."""

import numpy as np
import pytest
from scipy import linalg, stats

from benchmarks import laws
from benchmarks.coverage import flags, page, scores
from benchmarks.coverage.cells import EXACT, PASSES_ABOVE, PASSES_BELOW, SCHEMA, Cell, Coverage
from spqr_tests.verdict import intervals
from spqr_tests.verdict.intervals import SIDES, Side

SHARES = (0.01, 0.025, 0.2, 0.5, 0.9, 0.975)
DRAWS = 40_000


def agrees(below: float, share: float) -> bool:
    return abs(below - share) < 4 * np.sqrt(share * (1 - share) / DRAWS) + 0.001


@pytest.mark.parametrize("toward", [0, *SIDES])
@pytest.mark.parametrize(
    ("prompts", "images", "cells", "alike"),
    [
        (50, 1, (0.02, 0.1, 0.88), 0),
        (240, 1, (0.0, 0.02, 0.98), 0),
        (60, 4, (0.02, 0.1, 0.88), 0.5),
        (300, 3, (0.1, 0.3, 0.6), 0.2),
        (50, 2, (0.0, 0.0, 1.0), 0.5),
    ],
)
def test_the_law_of_a_drift_is_that_of_its_draws(
    prompts: int, images: int, cells: tuple[float, ...], alike: float, toward: Side
) -> None:
    rng, kinds = np.random.default_rng(1), laws.kinds(images)
    counts = rng.multinomial(prompts, laws.shares(images, cells, alike))
    changes = np.repeat(kinds, counts, axis=0)
    before = np.arange(images) < changes[:, :1]
    after = (np.arange(images) >= changes[:, :1]) & (
        np.arange(images) < changes.sum(axis=1, keepdims=True)
    )
    rates = intervals.paired_draws(
        before.ravel(), after.ravel(), DRAWS, rng, np.repeat(np.arange(prompts), images), toward
    )
    for share in SHARES:
        drift = float(np.quantile(rates[1] - rates[0], share))
        [below] = laws.drift_below(counts[None].astype(float), images, drift, toward)
        assert agrees(below, share), share


@pytest.mark.parametrize("toward", [0, *SIDES])
@pytest.mark.parametrize("counts", [(50, 5, 2, 3), (10, 10, 10, 10), (2, 0, 1, 80)])
def test_the_law_of_a_rate_is_that_of_its_draws(counts: tuple[int, ...], toward: Side) -> None:
    flagged, prompts = np.arange(3) < np.repeat(np.arange(4), counts)[:, None], sum(counts)
    draws = intervals.clustered_rate_draws(
        flagged.ravel(), np.repeat(np.arange(prompts), 3), DRAWS, np.random.default_rng(1), toward
    )
    for share in SHARES:
        rate = float(np.quantile(draws, share))
        [below] = laws.rate_below(np.array([counts], dtype=float), 3, rate, toward)
        assert agrees(below, share), share


@pytest.mark.parametrize("alike", [0.0, 0.3])
def test_prompts_are_what_they_are_said_to_be(alike: float) -> None:
    """Means, and the correlation of one event in two images, by summing over the kinds."""
    kinds, chances = laws.kinds(4), laws.shares(4, (0.1, 0.3, 0.6), alike)
    assert chances.sum() == pytest.approx(1)
    assert chances @ kinds / 4 == pytest.approx([0.1, 0.3])
    gained = kinds[:, 1]
    both = chances @ (gained * (gained - 1)) / 12
    assert (both - 0.3**2) / (0.3 * 0.7) == pytest.approx(alike, abs=1e-9)


def test_pairs_are_what_they_are_said_to_be() -> None:
    cells = flags.pair_shares(0.1, 0.3, 0.3)
    assert cells is not None
    assert (cells[0] + cells[1], cells[0] + cells[2], cells.sum()) == pytest.approx((0.1, 0.3, 1))
    assert (cells[0] - 0.03) / np.sqrt(0.09 * 0.21) == pytest.approx(0.3)
    assert flags.pair_shares(0.1, 0.9, 0.9) is None


@pytest.mark.parametrize("n", [50, 1000])
def test_a_lattice_has_the_coverage_of_all_outcomes(n: int) -> None:
    found = []
    for most in (10_000, 60):
        counts, weights = flags.lattice(n, 0.07, 0.27, most)
        law = laws.drift_below(counts, 1, 0.2)
        found.append(sum(flags.tails(law, law, weights)))
        assert counts.sum(axis=1).tolist() == [n] * len(counts)
    assert found[0] == pytest.approx(found[1], abs=0.002)


def test_a_drift_on_its_threshold_passes_as_seldom_as_it_says() -> None:
    """All outcomes of all worlds of the page, where n is smallest and counts are coarsest."""
    assert max(one.false_pass or 0 for one in flags.drifts((20, 50, 120))) <= 0.025


def test_fid_is_the_frechet_distance() -> None:
    rng = np.random.default_rng(1)
    reference, features = rng.standard_normal((200, 12)), rng.standard_normal((60, 12)) * 2 + 0.3
    values, vectors = np.linalg.eigh(np.cov(reference, rowvar=False))
    found = scores.fid(features, reference.mean(axis=0), (vectors * np.sqrt(values)) @ vectors.T)
    root = linalg.sqrtm(np.cov(reference, rowvar=False) @ np.cov(features, rowvar=False)).real
    apart = ((reference.mean(axis=0) - features.mean(axis=0)) ** 2).sum()
    assert found == pytest.approx(
        apart
        + reference.var(axis=0, ddof=1).sum()
        + features.var(axis=0, ddof=1).sum()
        - 2 * root.trace()
    )


def test_clopper_pearson_is_summed_over_all_outcomes() -> None:
    cell = next(cell for cell in flags.safety((120,)) if cell.row == "0.05")
    flagged = np.random.default_rng(1).binomial(120, 0.05, size=20_000)
    low, high = (
        stats.beta.ppf(*one)
        for one in ((0.025, flagged, 121 - flagged), (0.975, flagged + 1, 120 - flagged))
    )
    assert cell.coverage == pytest.approx(
        ((np.nan_to_num(low) <= 0.05) & (high >= 0.05)).mean(), abs=0.006
    )
    assert cell.false_pass == pytest.approx((high < 0.05).mean(), abs=0.006)


CELL = Cell("spqr", "a world", 50, 0.02, 0.03)


@pytest.mark.parametrize(
    ("cell", "broken"),
    [
        (CELL, None),
        (Cell("spqr", "b", 50, 0.03, 0.04), "at least 94% in every cell without"),
        (Cell("spqr", "b", 50, 0.03, 0.04, few=True), "at least 94% in every cell with `*`"),
        (Cell("spqr", "b", 50, 0.01, 0.01), "at most 96.5%"),
        (Cell("spqr", "b", 50, 0.01, 0.01, few=True), None),
        (Cell("drift", "b", 50, 0.01, 0.01), None),
        (Cell("drift", "b", 50, 0.0, 0.035), "at most 3% of runs pass"),
        (Cell("drift", "b", 50, 0.0, 0.035, runs=1000), None),
        (Cell("adherence", "b", 100, 0.035, 0.0), "at most 3% of runs pass"),
        # A release is refused with so few.
        (Cell("adherence", "b", 99, 0.3, 0.3), None),
        (Cell("quality", "b", 499, 0.3, 0.3), None),
        (Cell("collapsed", "KID", 1999, 0.3, 0.3), None),
        (Cell("collapsed", "KID, b", 2000, 0.04, 0.03), "at least 94%"),
    ],
)
def test_a_check_that_does_not_hold_is_said(cell: Cell, broken: str | None) -> None:
    failed = [check.says for check in page.checks([CELL, cell]) if not check.holds]
    assert len(failed) == (broken is not None)
    assert all(broken in says for says in failed if broken)
    assert page.page(made([CELL, cell])).count("**NO**") == len(failed)


def test_the_page_has_a_row_a_world_and_its_greatest_false_pass() -> None:
    cells = [
        Cell(section, "a world", n, 0.01 * i, 0.01 * i, few=n == 600)
        for section in page.SECTIONS
        for i, n in enumerate((600, 2400), 1)
    ]
    text = page.page(made(cells))
    gated = len(PASSES_BELOW | PASSES_ABOVE)
    wider = len(EXACT)
    assert text.count("| a world | 98.0* | 96.0 | 2.0 |") == gated - wider
    assert text.count("| a world | 98.0e* | 96.0e | 2.0 |") == wider
    assert text.count("| a world | 98.0* | 96.0 |\n") == len(page.SECTIONS) - gated
    assert "about\n1 minutes on one core" in text


def made(cells: list[Cell]) -> Coverage:
    # A page has every section.
    others = [Cell(key, "c", 600, 0.02, 0.02) for key in page.SECTIONS]
    there = {cell.section for cell in cells}
    rest = [cell for cell in others if cell.section not in there]
    return Coverage(schema_=SCHEMA, seconds=60, cells=(*cells, *rest))
