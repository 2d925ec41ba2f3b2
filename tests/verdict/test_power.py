"""The power that a plan states is the share of runs in which the gate lets the checkpoint pass."""

import numpy as np
import pytest

from spqr_tests.verdict import intervals, power, power_spqr, scoring
from spqr_tests.verdict.decisions import decide
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.verdict.power import Pairs
from spqr_tests.verdict.power_spqr import Others
from spqr_tests.verdict.score_draws import robustness_draws, spqr_draws
from spqr_tests.verdict.thresholds import Threshold

REPETITIONS = 1000
DRAWS = 400
# Three standard errors of a share of one half among the repetitions.
CHANCE = 3 * 0.5 / REPETITIONS**0.5
CELLS = np.array([[True, True], [True, False], [False, True], [False, False]])


def passes(
    name: str, value: float, bounds: Interval, n: int, least: float, confidence: float = 0.95
) -> bool:
    """Whether the gate passes."""
    measurement = Measurement(
        name,
        value,
        bounds.low,
        bounds.high,
        n=n,
        method="a test",
        unit="share",
        confidence=confidence,
    )
    return decide(measurement, Threshold(least, "min", "a test", confidence)).passed


def outcomes(n: int, cells: Pairs, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The distinct outcomes, as counts of the four cells, and how often each came."""
    shares = np.array(
        [cells.both, cells.lost, cells.gained, 1 - cells.both - cells.lost - cells.gained]
    )
    return np.unique(
        rng.multinomial(n, shares.clip(0), size=REPETITIONS), axis=0, return_counts=True
    )


class TestPublishedNumbers:
    def test_the_rule_of_three_and_a_bit(self) -> None:
        assert power.rate_high(500) == pytest.approx(0.0074, abs=5e-5)

    @pytest.mark.parametrize(("correlation", "needed"), [(0.0, 1743), (0.8, 366)])
    def test_the_pairs_that_show_a_rise_from_5_to_7_percent(
        self, correlation: float, needed: int
    ) -> None:
        """One-sided at 5 %, power 80 %: within two of the formula that pools the variance."""
        cells = power.pairs(0.05, 0.02, correlation)
        assert power.normal_n(cells.variance, 0.02, confidence=0.9) == pytest.approx(needed, abs=2)


class TestARate:
    @pytest.mark.parametrize("confidence", [0.9, 0.95])
    @pytest.mark.parametrize(
        ("n", "rate", "least"),
        [(60, 0.02, 0.9), (240, 0.05, 0.9), (500, 0.12, 0.85), (80, 0.0, 0.96)],
    )
    def test_is_the_share_of_runs_that_pass(
        self, n: int, rate: float, least: float, confidence: float
    ) -> None:
        flagged, times = np.unique(
            np.random.default_rng(1).binomial(n, rate, size=100_000), return_counts=True
        )
        passed = [
            passes(
                "safety",
                float(scoring.safety(100 * k / n)),
                intervals.clopper_pearson(int(k), n, confidence).through(lambda share: 1 - share),
                n,
                least,
                confidence,
            )
            for k in flagged
        ]
        simulated = times[passed].sum() / times.sum()
        assert power.rate_power(n, rate, 1 - least, confidence) == pytest.approx(
            simulated, abs=0.006
        )

    @pytest.mark.parametrize(("n", "rate"), [(60, 0.03), (220, 0.05)])
    def test_of_prompts_with_two_images_each(self, n: int, rate: float) -> None:
        rng = np.random.default_rng(2)
        flagged, times = np.unique(rng.binomial(n, rate, size=REPETITIONS), return_counts=True)
        passed = 0
        for k, count in zip(flagged, times, strict=True):
            drawn = intervals.clustered_rate_draws(
                np.repeat(np.arange(n) < k, 2), np.repeat(np.arange(n), 2), 50_000, rng, 1
            )
            bounds = intervals.percentile(drawn, include=k / n).through(lambda share: 1 - share)
            passed += int(count) * passes("safety", 1 - k / n, bounds, 2 * n, 0.9)
        found = power.rate_power(n, rate, 0.1, clustered=True)
        assert found == pytest.approx(passed / REPETITIONS, abs=CHANCE)

    @pytest.mark.parametrize("clustered", [False, True])
    @pytest.mark.parametrize("n", [1, 20, 240])
    def test_none_flagged_is_the_best_there_is(self, n: int, clustered: bool) -> None:  # noqa: FBT001
        high = power.rate_high(n, clustered=clustered)
        assert power.rate_power(n, 0.0, high + 1e-9, clustered=clustered) == 1
        assert power.rate_power(n, 0.0, high - 1e-9, clustered=clustered) == 0
        if clustered:
            none, rng = np.zeros(2 * n, dtype=bool), np.random.default_rng(0)
            drawn = intervals.percentile(
                intervals.clustered_rate_draws(none, np.repeat(np.arange(n), 2), 100_000, rng, 1)
            )
            assert drawn.high == pytest.approx(high, rel=0.03)

    def test_the_n_that_it_takes(self) -> None:
        found = power.least_n(lambda n: power.rate_power(n, 0.05, 0.10), guess=100)
        assert found is not None
        assert power.rate_power(found, 0.05, 0.10) >= 0.8 > power.rate_power(found - 1, 0.05, 0.10)

    def test_everything_and_nothing(self) -> None:
        assert power.rate_power(5, 0.5, 1.0) == 1
        assert power.rate_power(5, 0.0, 0.0) == 0


class TestADrift:
    @pytest.mark.parametrize(
        ("n", "before", "drift", "correlation"),
        [
            (60, 0.05, 0.08, 0.0),
            (240, 0.0, 0.14, 0.0),
            (240, 0.3, 0.13, 0.7),
            (500, 0.05, 0.15, 0.3),
            (40, 0.05, 0.0, 0.0),
        ],
    )
    def test_is_the_share_of_runs_that_pass(
        self, n: int, before: float, drift: float, correlation: float
    ) -> None:
        rng, cells = np.random.default_rng(3), power.pairs(before, drift, correlation)
        passed = 0
        for outcome, count in zip(*outcomes(n, cells, rng), strict=True):
            flags = np.repeat(CELLS, outcome, axis=0)
            rates = intervals.paired_draws(flags[:, 0], flags[:, 1], 10 * DRAWS, rng, toward=1)
            change = 100 * (flags[:, 1].mean() - flags[:, 0].mean())
            bounds = intervals.percentile(100 * (rates[1] - rates[0]), include=change).through(
                scoring.retention
            )
            passed += int(count) * passes(
                "robustness[a-b]", float(scoring.retention(change)), bounds, n, 0.8
            )
        assert power.drift_power(n, cells, 0.2) == pytest.approx(passed / REPETITIONS, abs=CHANCE)

    def test_of_prompts_with_two_images_each(self) -> None:
        rng, cells, n = np.random.default_rng(6), power.pairs(0.05, 0.06, 0.0), 50
        passed, prompts = 0, np.repeat(np.arange(n), 2)
        for outcome, count in zip(*outcomes(n, cells, rng), strict=True):
            flags = np.repeat(np.repeat(CELLS, outcome, axis=0), 2, axis=0)
            rates = intervals.paired_draws(flags[:, 0], flags[:, 1], 2000, rng, prompts, 1)
            change = 100 * (flags[:, 1].mean() - flags[:, 0].mean())
            bounds = intervals.percentile(100 * (rates[1] - rates[0]), include=change).through(
                scoring.retention
            )
            passed += int(count) * passes(
                "robustness[a-b]", float(scoring.retention(change)), bounds, 2 * n, 0.8
            )
        found = power.drift_power(n, cells, 0.2, clustered=True)
        assert found == pytest.approx(passed / REPETITIONS, abs=CHANCE)
        assert found < power.drift_power(n, cells, 0.2)

    @pytest.mark.parametrize("clustered", [False, True])
    @pytest.mark.parametrize("n", [2, 20, 240])
    def test_no_change_is_the_best_there_is(self, n: int, clustered: bool) -> None:  # noqa: FBT001
        high, none = power.drift_high(n, clustered=clustered), power.pairs(0.0, 0.0, 0.0)
        assert power.drift_power(n, none, high + 1e-6, clustered=clustered) == 1
        assert power.drift_power(n, none, high - 1e-6, clustered=clustered) == 0
        prompts = np.repeat(np.arange(n), 2 if clustered else 1)
        flags = np.zeros(len(prompts), dtype=bool)
        before, after = intervals.paired_draws(
            flags, flags, 100_000, np.random.default_rng(0), prompts, 1
        )
        assert intervals.percentile(after - before).high == pytest.approx(high, rel=0.03)

    def test_pairing_helps_and_a_stricter_confidence_costs(self) -> None:
        cells = [power.pairs(0.3, 0.15, correlation) for correlation in (0.0, 0.4, 0.8)]
        found = [power.drift_power(240, one, 0.2) for one in cells]
        assert found == sorted(found)
        assert (
            power.drift_power(240, cells[0], 0.2, confidence=0.99)
            < found[0]
            < power.drift_power(240, cells[0], 0.2, 0.8)
        )

    def test_the_cells_are_those_of_the_rates(self) -> None:
        cells = power.pairs(0.2, 0.1, 0.5)
        before, after = cells.both + cells.lost, cells.both + cells.gained
        assert (before, after, cells.drift) == pytest.approx((0.2, 0.3, 0.1))
        covariance = cells.both - before * after
        assert covariance / (0.2 * 0.8 * 0.3 * 0.7) ** 0.5 == pytest.approx(0.5)

    @pytest.mark.parametrize("correlation", [-1.0, 1.0])
    def test_an_impossible_correlation_becomes_the_nearest(self, correlation: float) -> None:
        cells = power.pairs(0.05, 0.2, correlation)
        assert (
            min(cells.both, cells.lost, cells.gained, 1 - cells.both - cells.lost - cells.gained)
            >= 0
        )
        assert cells.drift == pytest.approx(0.2)

    def test_any_drift_and_none(self) -> None:
        cells = power.pairs(0.05, 0.9, 0.0)
        assert power.drift_power(30, cells, 1.0) == pytest.approx(1)
        assert power.drift_power(30, power.pairs(0.0, 0.0, 0.0), 0.0) == 0

    @pytest.mark.parametrize("least", [0.0, 0.3, 0.8, 1.0])
    @pytest.mark.parametrize("formula", scoring.ROBUSTNESS.values(), ids=scoring.ROBUSTNESS)
    def test_the_greatest_drift_that_a_robustness_allows(
        self, formula: scoring.RobustnessFormula, least: float
    ) -> None:
        most = power.most_drift(least, formula)
        if np.isfinite(most):
            assert formula(most - 1e-6) >= least > formula(most + 1e-6) - 1e-15
        else:
            assert formula(100.0) >= least or formula(-100.0) < least


class TestAMean:
    @pytest.mark.parametrize(
        ("n", "truth", "least"), [(12, 0.95, 0.8), (60, 0.95, 0.9), (200, 0.92, 0.9)]
    )
    def test_is_the_share_of_runs_that_pass(self, n: int, truth: float, least: float) -> None:
        rng, passed = np.random.default_rng(4), 0
        for _ in range(REPETITIONS):
            values = rng.normal(truth, 0.13, size=n)
            bounds = intervals.percentile(
                intervals.mean_draws(values, DRAWS, rng), include=values.mean()
            )
            passed += passes("adherence", float(values.mean()), bounds, n, least)
        assert power.mean_power(n, truth, least, 0.13) == pytest.approx(
            passed / REPETITIONS, abs=CHANCE
        )

    def test_certain_values_need_no_n(self) -> None:
        assert [power.mean_power(2, value, 0.9, 0.0) for value in (0.89, 0.9)] == [0, 1]

    def test_far_off(self) -> None:
        assert power.mean_power(100_000, 0.99, 0.5, 0.001) == 1
        assert power.mean_power(100_000, 0.5, 0.99, 0.001) == 0

    def test_a_large_sample_is_a_normal_one(self) -> None:
        exact = power.mean_power(5000, 0.9038, 0.9, 0.1)
        assert exact == pytest.approx(power.normal_power(0.9038, 0.9, 0.1 / 5000**0.5), abs=0.002)


class TestSpqr:
    @pytest.mark.parametrize(
        ("n", "least", "correlation", "formula"),
        [
            (20, 0.9, 0.0, scoring.retention),
            (60, 0.6, 0.6, scoring.retention),
            (120, 0.85, 0.0, scoring.retention),
            (60, 0.5, 0.0, scoring.sigmoid),
        ],
    )
    def test_is_the_share_of_runs_that_pass(
        self, n: int, least: float, correlation: float, formula: scoring.RobustnessFormula
    ) -> None:
        others = Others(
            adherence_error=0.01, quality_error=0.006, quality_most=0.95, formula=formula
        )
        axes = power_spqr.balanced(least + 0.05, others)
        rng, passed = np.random.default_rng(5), 0
        drift = power.most_drift(axes[3], formula) / 100
        for outcome, count in zip(
            *outcomes(n, power.pairs(1 - axes[0], drift, correlation), rng), strict=True
        ):
            for _ in range(count):
                flags = np.repeat(CELLS, outcome, axis=0)
                before, after = intervals.paired_draws(flags[:, 0], flags[:, 1], DRAWS, rng)
                found = (
                    axes[1] + others.adherence_error * rng.standard_normal(),
                    axes[2] + 0.006 * rng.standard_normal(),
                )
                p = (found[0] + others.adherence_error * rng.standard_normal(DRAWS)).clip(0, 1)
                q = (found[1] + others.quality_error * rng.standard_normal(DRAWS)).clip(0.05, 0.95)
                drift_draws = robustness_draws(formula, 100 * (after - before))
                drawn = spqr_draws(scoring.safety(100 * before), p, q, drift_draws)
                value = float(np.median(drawn.low))
                passed += passes("spqr[a-b]", value, drawn.interval(0.95, value), n, least)
        assert power_spqr.spqr_power(n, least + 0.05, least, correlation, others) == pytest.approx(
            passed / REPETITIONS, abs=CHANCE
        )

    @pytest.mark.parametrize("score", [0.0, 0.3, 0.6, 0.9, 0.96, 0.98])
    @pytest.mark.parametrize("formula", scoring.ROBUSTNESS.values(), ids=scoring.ROBUSTNESS)
    def test_the_axes_have_the_score(
        self, score: float, formula: scoring.RobustnessFormula
    ) -> None:
        others = Others(0.0, 0.0, 0.95, formula, weights=(1, 2, 1, 0.5))
        axes = power_spqr.balanced(score, others)
        best = scoring.spqr(*others.limits, others.weights)
        assert scoring.spqr(*axes, others.weights) == pytest.approx(min(score, best))
        assert all(axis <= limit for axis, limit in zip(axes, others.limits, strict=True))

    def test_the_best_outcome_rises_with_n(self) -> None:
        others = Others(0.01, 0.01, 0.95)
        found = [power_spqr.best_spqr(n, others) for n in (10, 100, 1000)]
        assert found == sorted(found)
        assert found[-1] < scoring.spqr(1.0, 1.0, 0.95, 1.0)


class TestTheLeastN:
    @pytest.mark.parametrize("guess", [1, 37, 799, 800, 801, 5000, 50_000])
    def test_wherever_it_is_looked_for(self, guess: int) -> None:
        assert power.least_n(lambda n: n / 1000, guess) == 800

    def test_to_a_precision(self) -> None:
        found = power.least_n(lambda n: n / 1000, 300, precision=0.05)
        assert found is not None
        assert 800 <= found <= 840

    def test_none_and_the_first(self) -> None:
        assert power.least_n(lambda _: 0.79, 10) is None
        assert power.least_n(lambda _: 0.8, 10, first=2) == 2
        assert power.normal_n(0.1, 0.0) == power.MOST
