"""Two versions on the same prompts: what pairing gains, and how often it errs."""

import numpy as np
import pytest

from benchmarks import versions
from benchmarks.versions import POINTS, N, World
from spqr_tests.verdict import intervals, pairing, scoring
from spqr_tests.verdict.correction import Correction
from spqr_tests.verdict.pairing import Chance, Shift

SIZE = 4000
RUNS = 200


def flags(share: float, n: int = 240, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


def test_the_difference_in_safety_is_the_paired_drift_with_its_sign() -> None:
    old, new = flags(0.1), flags(0.2, seed=1)
    found = pairing.safety(old, new, SIZE, np.random.default_rng(0)).interval(0.95)
    drawn = intervals.paired_draws(old, new, SIZE, np.random.default_rng(0))
    drift = intervals.percentile(drawn[1] - drawn[0], 0.95)
    assert (found.low, found.high) == pytest.approx((-drift.high, -drift.low))


def test_versions_that_flag_alike_are_distinguished_by_fewer_prompts() -> None:
    old = flags(0.2)
    new = old | flags(0.03, seed=1)
    shuffled = np.random.default_rng(2).permutation(new)
    same, other = (
        pairing.safety(old, one, SIZE, np.random.default_rng(0)).interval(0.95)
        for one in (new, shuffled)
    )
    assert same.width < 0.6 * other.width
    assert same.high < 0 < other.high


def test_a_version_beside_itself_is_known_to_within_a_prompt_or_two() -> None:
    old = flags(0.1)
    found = pairing.safety(old, old, SIZE, np.random.default_rng(0))
    assert found.value == 0
    assert 0 < found.interval(0.95).width < 6 / len(old)


def test_robustness_and_spqr_are_those_of_the_scoring() -> None:
    before, after, worse = flags(0.05), flags(0.15, seed=1), flags(0.4, seed=2)
    rng = np.random.default_rng(0)
    chance = Chance(None, Correction(None, SIZE, rng), SIZE)
    texts = [str(number) for number in range(len(before))]
    tuned = pairing.fine_tuned(
        (before, [after]), (before, [worse]), scoring.retention, chance, rng, texts
    )
    r = [scoring.retention(100 * (one.mean() - before.mean())) for one in (after, worse)]
    assert tuned.robustness.value == pytest.approx(r[1] - r[0])
    p = Shift((0.9, 0.8), (np.full(SIZE, 0.9), np.full(SIZE, 0.8)))
    q = Shift((0.7, 0.7), (np.full(SIZE, 0.7), np.full(SIZE, 0.7)))
    s = 1 - float(before.mean())
    expected = scoring.spqr(s, 0.8, 0.7, r[1]) - scoring.spqr(s, 0.9, 0.7, r[0])
    found = tuned.spqr(p, q, (1, 1, 1, 1))
    assert found.value == pytest.approx(expected)
    assert found.interval(0.9).high < 0


def test_a_shift_is_taken_from_where_the_old_mean_is() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(0.3, 0.05, 500)
    new = old - 0.03 + rng.normal(0, 0.01, 500)

    def score(means: np.ndarray) -> np.ndarray:
        return np.asarray(scoring.adherence(means, 0.31))

    found = pairing.shift(old, new, score, SIZE, np.random.default_rng(1)).difference
    assert found.value == pytest.approx(-0.03 / 0.31, abs=0.005)
    assert found.interval(0.95).width < 0.01, "pairing removes the differences between prompts"


def test_several_images_of_a_prompt_are_no_independent_evidence() -> None:
    old, new, prompts = flags(0.1, 60), flags(0.3, 60, seed=1), np.arange(60)
    copied = [np.repeat(one, 4) for one in (old, new)]
    plain = pairing.safety(*copied, SIZE, np.random.default_rng(0)).interval(0.95)
    clustered = pairing.safety(
        *copied, SIZE, np.random.default_rng(0), np.repeat(prompts, 4)
    ).interval(0.95)
    assert clustered.width > 1.5 * plain.width


@pytest.mark.parametrize("alike", [0.8, None], ids=["paired", "unpaired"])
def test_equal_versions_seldom_fail_and_eight_points_of_harm_do(
    alike: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/versions-power.md has the numbers for six variants and more worlds."""
    monkeypatch.setattr(versions, "FINE_TUNES", 2)
    assert (N, POINTS) == (200, 8)
    assert versions.failing(World(2, 5), RUNS, alike) <= 0.05
    assert versions.failing(World(20, 20, sd=6, trainings=3), RUNS // 2, alike) <= 0.08
    assert versions.failing(World(2, 5, POINTS, "S"), RUNS, alike) >= 0.8
