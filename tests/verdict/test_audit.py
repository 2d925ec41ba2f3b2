"""Audits: known answers, exact bounds, and the coverage of the intervals."""

import numpy as np
import pytest
from scipy import stats

from spqr_tests.verdict.audit import Audit, Share, Stratum, allocation, effective_n
from spqr_tests.verdict.correction import Accuracy, Correction
from spqr_tests.verdict.intervals import Interval

NOBODY, A, B = frozenset[str](), frozenset("a"), frozenset("b")
REPETITIONS = 400
NOMINAL = 0.94
CHANCE = 3 * np.sqrt(NOMINAL * (1 - NOMINAL) / REPETITIONS)


def audit(*strata: Stratum, size: int = 20_000, seed: int = 0) -> Audit:
    return Audit(strata, np.random.default_rng(seed), size)


def bounds(share: Share) -> tuple[float, float]:
    return share.interval.low, share.interval.high


def test_known_answers() -> None:
    # 800 + 150 + 50 images, of which labels say 8 + 120 + 40 are harmful.
    found = audit(Stratum(NOBODY, 800, 1, 99), Stratum(A, 150, 40, 10), Stratum(B | A, 50, 20, 5))
    assert found.sensitivity().value == pytest.approx(160 / 168)
    assert found.specificity().value == pytest.approx(792 / 832)
    assert found.sensitivity("b").value == pytest.approx(40 / 168)
    assert found.specificity("b").value == pytest.approx(822 / 832)
    assert found.sensitivity("a").value == found.sensitivity().value
    assert found.prevalence().value == pytest.approx(0.168)
    for share in (found.sensitivity(), found.specificity("b"), found.prevalence()):
        assert share.value is not None
        assert share.interval.low < share.value < share.interval.high
        assert share.if_harmful == share.if_harmless == share.value


def test_one_uncertain_stratum_has_the_exact_interval() -> None:
    # Every flagged image is harmful by so many labels that only the other stratum is uncertain.
    found = audit(Stratum(NOBODY, 10**6, 6, 94), Stratum(A, 10**6, 10**6, 0), size=200_000)
    exact = stats.binomtest(6, 100).proportion_ci(method="exact")
    low, high = bounds(found.sensitivity())
    assert low == pytest.approx(1 / (1 + exact.high), abs=2e-3)
    assert high == pytest.approx(1 / (1 + exact.low), abs=2e-3)


def test_a_bound_reaches_what_labels_do_not_exclude() -> None:
    nothing = audit(Stratum(NOBODY, 900, 0, 50), Stratum(A, 100, 0, 50))
    assert nothing.sensitivity().value is None
    assert bounds(nothing.sensitivity()) == (0, 1)
    assert nothing.specificity().value == pytest.approx(0.9)
    no_flags = audit(Stratum(NOBODY, 900, 5, 50))
    assert no_flags.sensitivity().value == 0
    assert bounds(no_flags.specificity()) == (1, 1)


def test_unsure_labels_widen_both_bounds() -> None:
    sure = audit(Stratum(NOBODY, 800, 2, 90), Stratum(A, 200, 60, 20))
    unsure = audit(Stratum(NOBODY, 800, 2, 90, 8), Stratum(A, 200, 60, 20, 20))
    for name in ("sensitivity", "specificity", "prevalence"):
        one, other = getattr(sure, name)(), getattr(unsure, name)()
        assert one.value == other.value
        assert other.interval.low < one.interval.low
        assert one.interval.high < other.interval.high
    share = unsure.sensitivity()
    assert share.if_harmful == pytest.approx(200 * 0.8 / (200 * 0.8 + 800 * 0.1))
    assert share.if_harmless == pytest.approx(200 * 0.6 / (200 * 0.6 + 800 * 0.02))
    # Whichever each of them is: also where they help in one stratum and hurt in the other.
    worst = audit(Stratum(NOBODY, 800, 10, 90), Stratum(A, 200, 60, 40)).sensitivity()
    assert share.interval.low == pytest.approx(worst.interval.low, abs=0.01)


@pytest.mark.parametrize(
    ("prevalence", "sensitivity", "specificity"),
    [(0.02, 0.6, 0.995), (0.1, 0.98, 0.8), (0.5, 0.8, 0.95)],
)
def test_intervals_cover(prevalence: float, sensitivity: float, specificity: float) -> None:
    harmful = prevalence * np.array([1 - sensitivity, sensitivity * 0.7, sensitivity * 0.3])
    harmless = (1 - prevalence) * np.array(
        [specificity, (1 - specificity) * 0.4, (1 - specificity) * 0.6]
    )
    sizes = np.rint(10_000 * (harmful + harmless)).astype(int)
    shares = harmful / (harmful + harmless)
    weights = sizes / sizes.sum()
    taken = allocation([int(size) for size in sizes], [False, True, True], 200)
    truth = (weights * shares)[1:].sum() / (weights * shares).sum()
    true_b = (weights * (1 - shares))[:2].sum() / (weights * (1 - shares)).sum()
    rng = np.random.default_rng(7)
    covered = np.zeros(2)
    for _ in range(REPETITIONS):
        counts = rng.binomial(taken, shares)
        found = Audit(
            [
                Stratum(flags, int(size), int(k), int(n - k))
                for flags, size, k, n in zip((NOBODY, A, B), sizes, counts, taken, strict=True)
            ],
            rng,
            400,
        )
        for place, (share, true) in enumerate(
            ((found.sensitivity(), truth), (found.specificity("b"), true_b))
        ):
            covered[place] += share.interval.low <= true <= share.interval.high
    assert (covered / REPETITIONS >= NOMINAL - CHANCE).all()


@pytest.mark.parametrize(
    ("value", "interval"),
    [(0.9, Interval(0.8, 0.93)), (0.75, Interval(0.3, 0.99)), (1.0, Interval(0.9, 1.0))],
)
def test_a_correction_is_no_more_certain_than_the_audit(value: float, interval: Interval) -> None:
    n = effective_n(value, interval)
    assert n is not None

    # As the correction itself draws the accuracy: of judges who flag nothing harmless.
    def drawn(count: int) -> tuple[float, float]:
        known = Accuracy(value, count, 1.0, 10**7)
        shares = Correction(known, 200_000, np.random.default_rng(0)).shares(np.full(200_000, 0.2))
        low, high = np.quantile(0.2 / shares, [0.025, 0.975])
        return float(low), float(high)

    low, high = drawn(n)
    assert low <= interval.low + 2e-3
    assert high >= interval.high - 2e-3
    # And no less certain than it must be.
    low, high = drawn(4 * n)
    assert low > interval.low or high < interval.high


def test_nothing_is_as_uncertain_as_some_intervals() -> None:
    assert effective_n(0.6, Interval(0.0, 1.0)) is None


@pytest.mark.parametrize("n", [20, 200, 3000, 10**6])
def test_labels_are_shared_out(n: int) -> None:
    sizes, flagged = [6000, 900, 100, 3], [False, True, True, True]
    taken = allocation(sizes, flagged, n)
    assert sum(taken) == min(n, sum(sizes))
    assert all(0 < count <= size for count, size in zip(taken, sizes, strict=True))
    assert taken[3] == 3
    if n == 200:
        assert 95 <= taken[0] <= 105
    assert allocation([50, 40], [True, True], 20) == [11, 9]


@pytest.mark.parametrize(
    "counts", [(10, 6, 5, 0), (10, -1, 5, 0), (0, 0, 0, 0), (10, 0, 0, 3), (10, 5, 5, 1)]
)
def test_impossible_strata_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="stratum"):
        Stratum(NOBODY, *counts)
