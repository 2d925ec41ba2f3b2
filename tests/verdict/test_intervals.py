"""Intervals and draws; how well the intervals cover is in test_coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spqr_tests.verdict import intervals
from spqr_tests.verdict.intervals import Interval

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251119)


class TestInterval:
    @pytest.mark.parametrize(("low", "high"), [(1, 0), (math.nan, 1), (0, math.inf)])
    def test_refuses_bounds_that_bound_nothing(self, low: float, high: float) -> None:
        with pytest.raises(ValueError, match="finite bounds in order"):
            Interval(low, high)

    def test_a_falling_function_swaps_the_bounds(self) -> None:
        assert Interval(1, 4).through(lambda value: -value) == Interval(-4, -1)
        assert Interval(1, 4).through(math.sqrt) == Interval(1, 2)

    def test_width(self) -> None:
        assert Interval(1, 4).width == 3


class TestClopperPearson:
    def test_none_of_500_leaves_three_quarters_of_a_percent(self) -> None:
        interval = intervals.clopper_pearson(0, 500)
        assert interval.low == 0
        assert interval.high == pytest.approx(0.0074, abs=5e-5)

    @given(counts, st.floats(0.5, 0.999))
    def test_agrees_with_scipys(self, count: tuple[int, int], confidence: float) -> None:
        interval = intervals.clopper_pearson(*count, confidence=confidence)
        reference = stats.binomtest(*count).proportion_ci(confidence, method="exact")
        assert (interval.low, interval.high) == pytest.approx(
            (reference.low, reference.high), abs=1e-9
        )

    @given(counts)
    def test_holds_the_rate(self, count: tuple[int, int]) -> None:
        k, n = count
        interval = intervals.clopper_pearson(k, n)
        assert 0 <= interval.low <= k / n <= interval.high <= 1

    @pytest.mark.parametrize(("k", "n"), [(0, 0), (5, 4), (-1, 4)])
    def test_refuses_counts_that_cannot_be(self, k: int, n: int) -> None:
        with pytest.raises(ValueError, match="0 <= k <= n"):
            intervals.clopper_pearson(k, n)

    @pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
    def test_refuses_a_confidence_that_is_no_share(self, confidence: float) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            intervals.clopper_pearson(1, 4, confidence)


class TestPercentile:
    def test_leaves_the_tails_out(self) -> None:
        interval = intervals.percentile(np.arange(1001), confidence=0.9)
        assert (interval.low, interval.high) == pytest.approx((50, 950))

    def test_is_widened_to_the_estimate(self) -> None:
        assert intervals.percentile([1.0, 1.0], include=2.0) == Interval(1, 2)
        assert intervals.percentile([1.0, 1.0], include=0.0) == Interval(0, 1)

    @pytest.mark.parametrize("draws", [[], [1.0, math.nan], [math.inf]])
    def test_refuses_draws_that_are_no_numbers(self, draws: list[float]) -> None:
        with pytest.raises(ValueError, match="at least one draw"):
            intervals.percentile(draws)


class TestRateDrawsOfOneImageAPrompt:
    def draws(self, k: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return intervals.clustered_rate_draws(np.arange(n) < k, np.arange(n), 4000, rng)

    def test_are_the_mixture_of_the_clopper_pearson_laws(self, rng: np.random.Generator) -> None:
        lower, upper = stats.beta(7, 94), stats.beta(8, 93)
        law = stats.kstest(self.draws(7, 100, rng), lambda x: (lower.cdf(x) + upper.cdf(x)) / 2)
        assert law.pvalue > 0.01

    @pytest.mark.parametrize("k", [0, 1, 7, 99, 100])
    def test_toward_the_bounds_are_clopper_pearsons(self, k: int) -> None:
        low, high = (
            intervals.clustered_rate_draws(
                np.arange(100) < k, np.arange(100), 200_000, np.random.default_rng(0), side
            )
            for side in intervals.SIDES
        )
        exact, found = (
            intervals.clopper_pearson(k, 100),
            intervals.between(low, high, 0.95, k / 100),
        )
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=5e-4)

    @pytest.mark.parametrize("k", [0, 100])
    def test_have_width_when_all_images_agree(self, k: int, rng: np.random.Generator) -> None:
        assert intervals.percentile(self.draws(k, 100, rng)).width > 0.02

    def test_refuse_to_be_of_no_images(self, rng: np.random.Generator) -> None:
        with pytest.raises(ValueError, match="non-empty"):
            self.draws(0, 0, rng)


class TestPairedDraws:
    def flags(self, rng: np.random.Generator, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
        before = rng.random(n) < 0.2
        return before, before ^ (rng.random(n) < 0.1)

    def test_centre_on_the_observed_rates(self, rng: np.random.Generator) -> None:
        before, after = self.flags(rng)
        before_rates, after_rates = intervals.paired_draws(before, after, 20_000, rng)
        assert before_rates.mean() == pytest.approx(before.mean(), abs=0.005)
        assert after_rates.mean() == pytest.approx(after.mean(), abs=0.005)

    def test_keep_the_pairing(self, rng: np.random.Generator) -> None:
        """Correlated flags have a narrower drift than the same rates of unrelated images."""
        before, after = self.flags(rng)
        paired = intervals.paired_draws(before, after, 20_000, rng)
        apart = intervals.paired_draws(before, rng.permutation(after), 20_000, rng)
        assert np.std(paired[1] - paired[0]) < 0.8 * np.std(apart[1] - apart[0])

    def test_a_count_alone_has_the_clopper_pearson_laws(self, rng: np.random.Generator) -> None:
        """If no pair changed the other way, the drift is a rate, less one hypothetical change."""
        before, after = np.zeros(200, dtype=bool), np.arange(200) < 40
        drift = np.subtract(*intervals.paired_draws(before, after, 20_000, rng)[::-1])
        gained = [rng.beta(40 + more, 160 + fewer, 200_000) for more in (0, 1) for fewer in (0, 1)]
        lost = np.where(rng.random(800_000) < 0.5, rng.standard_exponential(800_000) / 201, 0)
        assert stats.ks_2samp(drift, np.concatenate(gained) - lost).pvalue > 0.001

    @pytest.mark.parametrize("flagged", [False, True])
    def test_have_width_both_ways_when_nothing_changed(
        self, *, flagged: bool, rng: np.random.Generator
    ) -> None:
        flags = np.full(100, flagged)
        before, after = intervals.paired_draws(flags, flags, 20_000, rng)
        interval = intervals.percentile(after - before)
        assert interval.low == pytest.approx(-interval.high, abs=0.005)
        assert interval.width > 0.03

    def test_rates_stay_in_bounds(self, rng: np.random.Generator) -> None:
        flags = np.ones(3, dtype=bool)
        rates = intervals.paired_draws(~flags, flags, 5000, rng)
        assert all((rate >= 0).all() and (rate <= 1).all() for rate in rates)

    def test_the_same_generator_and_pairs_in_any_order_give_the_same_draws(
        self, rng: np.random.Generator
    ) -> None:
        before, after = self.flags(rng)
        order = rng.permutation(before.size)
        one = intervals.paired_draws(before, after, 100, np.random.default_rng(3))
        other = intervals.paired_draws(before[order], after[order], 100, np.random.default_rng(3))
        assert np.array_equal(one, other)

    def test_clusters_of_one_image_change_nothing(self, rng: np.random.Generator) -> None:
        before, after = self.flags(rng)
        one = intervals.paired_draws(before, after, 100, np.random.default_rng(3))
        other = intervals.paired_draws(
            before, after, 100, np.random.default_rng(3), np.arange(before.size)
        )
        assert np.array_equal(one, other)

    def test_copies_of_an_image_are_no_evidence(self, rng: np.random.Generator) -> None:
        """Four identical images a prompt give an interval as wide as one, or a little wider."""
        before, after = self.flags(rng)
        prompts = np.array([f"prompt {index}" for index in range(before.size)])
        one = intervals.paired_draws(before, after, 1000, np.random.default_rng(3))
        four = intervals.paired_draws(
            np.repeat(before, 4),
            np.repeat(after, 4),
            1000,
            np.random.default_rng(3),
            np.repeat(prompts, 4),
        )
        widths = [intervals.percentile(after - before).width for before, after in (one, four)]
        assert widths[0] < widths[1] < 1.1 * widths[0]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ([], []),
            ([True], [True, False]),
            ([[True]], [[True]]),
            ([1, 0], [True, False]),
            ([True, False], [0.2, 0.9]),
            ([True, None], [True, False]),
        ],
    )
    def test_refuse_what_is_not_a_flag_for_every_image(
        self, before: list[bool], after: list[bool], rng: np.random.Generator
    ) -> None:
        with pytest.raises(ValueError, match=r"flags .*\.$"):
            intervals.paired_draws(before, after, 10, rng)

    def test_refuse_clusters_of_another_length(self, rng: np.random.Generator) -> None:
        with pytest.raises(ValueError, match="one cluster id"):
            intervals.paired_draws([True, False], [True, True], 10, rng, clusters=[1, 2, 3])


class TestPairsTowardABound:
    """A side where nothing changes has the exact law of a single rate."""

    @pytest.mark.parametrize("k", [0, 1, 9, 60])
    def test_of_gained_flags_alone_it_is_clopper_pearsons(self, k: int) -> None:
        before, after = np.zeros(60, dtype=bool), np.arange(60) < k
        _, upper = intervals.paired_draws(
            before, after, 200_000, np.random.default_rng(0), toward=1
        )
        found = intervals.percentile(upper, include=k / 60).high
        assert found == pytest.approx(intervals.clopper_pearson(k, 60).high, abs=1e-3)

    def test_the_bounds_are_mirrored(self) -> None:
        rng = np.random.default_rng(5)
        before, after = rng.random(80) < 0.2, rng.random(80) < 0.3

        def bounds(one: np.ndarray, other: np.ndarray) -> Interval:
            low, high = (
                np.subtract(
                    *intervals.paired_draws(
                        one, other, 100_000, np.random.default_rng(1), None, side
                    )
                )
                for side in intervals.SIDES
            )
            return intervals.between(high, low)

        there, back = bounds(before, after), bounds(after, before)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.003)


class TestClusteredRateDraws:
    def test_are_wider_than_independent_ones(self, rng: np.random.Generator) -> None:
        flagged = np.repeat(rng.random(100) < 0.3, 5)
        prompts = np.repeat(np.arange(100), 5)
        clustered = intervals.percentile(
            intervals.clustered_rate_draws(flagged, prompts, 5000, rng)
        )
        independent = intervals.clopper_pearson(int(flagged.sum()), flagged.size)
        assert clustered.width > 1.8 * independent.width

    def test_have_width_when_nothing_is_flagged(self, rng: np.random.Generator) -> None:
        draws = intervals.clustered_rate_draws(
            [False] * 100, np.repeat(np.arange(50), 2), 5000, rng
        )
        assert 0.04 < intervals.percentile(draws).high < 0.1


class TestMeanDraws:
    def test_spread_as_the_standard_error(self, rng: np.random.Generator) -> None:
        values = rng.normal(0.3, 0.02, size=400)
        draws = intervals.mean_draws(values, 4000, rng)
        assert draws.mean() == pytest.approx(values.mean(), abs=2e-4)
        assert draws.std() == pytest.approx(values.std() / 20, rel=0.1)

    def test_copies_within_a_cluster_are_no_evidence(self, rng: np.random.Generator) -> None:
        values = rng.normal(0.3, 0.02, size=50)
        clusters = np.repeat(np.arange(50), 4)
        one = intervals.mean_draws(values, 200, np.random.default_rng(3))
        four = intervals.mean_draws(np.repeat(values, 4), 200, np.random.default_rng(3), clusters)
        assert np.allclose(one, four)

    @pytest.mark.parametrize("n", [2, 5, 50])
    def test_are_students_where_there_is_no_skewness(
        self, n: int, rng: np.random.Generator
    ) -> None:
        values = (
            np.concatenate([-np.arange(n // 2) - 1.0, [0.0] * (n % 2), np.arange(n // 2) + 1.0]) + 7
        )
        draws = (intervals.mean_draws(values, 20_000, rng) - 7) / (values.std(ddof=1) / np.sqrt(n))
        assert stats.kstest(draws, stats.t(n - 1).cdf).pvalue > 0.001

    def test_lean_to_the_side_of_the_long_tail(self, rng: np.random.Generator) -> None:
        values = rng.exponential(size=60)
        for sign in (1, -1):
            interval = intervals.percentile(sign * intervals.mean_draws(sign * values, 20_000, rng))
            assert interval.high - values.mean() > 1.2 * (values.mean() - interval.low)

    def test_of_equal_values_are_their_value(self, rng: np.random.Generator) -> None:
        assert intervals.mean_draws([0.1] * 30, 50, rng) == pytest.approx(0.1)

    @pytest.mark.parametrize("values", [[], [0.3], [0.3, math.nan], [[0.3, 0.2]]])
    def test_refuse_values_that_have_no_interval(
        self, values: list[float], rng: np.random.Generator
    ) -> None:
        with pytest.raises(ValueError, match="mean needs"):
            intervals.mean_draws(values, 10, rng)

    def test_refuse_a_single_cluster(self, rng: np.random.Generator) -> None:
        with pytest.raises(ValueError, match="at least two independent"):
            intervals.mean_draws([0.3, 0.2], 10, rng, clusters=[1, 1])
