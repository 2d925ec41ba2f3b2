"""Confidence sequences: coverage while looking, when they decide, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sequential.runs import Outcomes, simulate
from benchmarks.sequential.worlds import WORLDS, World
from spqr_tests.verdict import intervals, sequential
from spqr_tests.verdict.sequential import ConfidenceSequence

RUNS = 1200
SAFETY, DRIFT, CLUSTERS = WORLDS
# Three standard errors of a share near 2.5 % and near 5 % in so many runs.
AROUND_ONE_SIDE, AROUND_BOTH = 0.0135, 0.019


def stopped_at(
    sequence: ConfidenceSequence, values: np.ndarray, threshold: float, look: int
) -> int | None:
    """The number of values after which the interval excludes the threshold; None for never."""
    for end in range(look, len(values) + 1, look):
        found = sequence.add(values[end - look : end], [1] * look)
        if not found.low <= threshold <= found.high:
            return end
    return None


@pytest.fixture(scope="module", params=WORLDS, ids=lambda world: world.name)
def at_the_threshold(request: pytest.FixtureRequest) -> Outcomes:
    """Runs of at most 320 images whose true mean is the threshold."""
    world: World = request.param
    return simulate(world, world.near, 320, RUNS, seed=1)


def test_at_the_threshold_few_pass_and_few_fail(at_the_threshold: Outcomes) -> None:
    assert at_the_threshold.passed.mean() <= 0.025 + AROUND_ONE_SIDE
    assert at_the_threshold.failed.mean() <= 0.025 + AROUND_ONE_SIDE
    # Some do; otherwise an interval that never decides would pass this test.
    assert (at_the_threshold.passed | at_the_threshold.failed).sum() >= 5


def test_the_interval_covers_wherever_one_stops(at_the_threshold: Outcomes) -> None:
    assert at_the_threshold.covered.mean() >= 0.95 - AROUND_BOTH


@pytest.mark.parametrize(
    ("world", "truth", "planned"), [(SAFETY, 0.05, 1000), (SAFETY, 0.15, 1000), (DRIFT, 0.15, 1500)]
)
def test_five_points_off_two_fifths_of_the_images_are_enough(
    world: World, truth: float, planned: int
) -> None:
    found = simulate(world, truth, planned, 300, seed=2)
    assert found.share <= 0.4
    assert (found.passed | found.failed).mean() >= 0.95
    assert found.covered.mean() >= 0.94


def test_looking_all_the_time_at_fixed_intervals_does_not_keep_the_error() -> None:
    # The reason for sequences: Clopper-Pearson errs in 5 % at each look, in far more at any look.
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(200):
        flagged = (rng.random(480) < SAFETY.near).cumsum()[31::32]
        wrong += any(
            not (bounds := intervals.clopper_pearson(int(k), 32 * (look + 1))).low
            <= SAFETY.near
            <= bounds.high
            for look, k in enumerate(flagged)
        )
    assert wrong / 200 > 0.1


def test_the_class_stops_where_the_simulation_says() -> None:
    error = (1 - sequential.split(0.95)[0]) / 2
    rng = np.random.default_rng(4)
    seen = []
    for truth in (0.04, 0.05, 0.1, 0.17, 0.2) * 2:
        values = (rng.random(400) < truth).astype(float)
        counts = np.stack([(1 - values).cumsum(), values.cumsum()], axis=-1)
        placed = sequential.bets(0.1, 0.09, 400, error)
        rich = np.maximum(
            *sequential.log_wealth(counts, np.array([[0.0, 1.0], [1.0, 1.0]]), 0.1, placed)
        ) >= np.log(1 / error)
        expected = int(rich.argmax()) // 8 * 8 + 8 if rich.any() else None
        seen.append(expected)
        assert (
            stopped_at(
                ConfidenceSequence(0.1, 0.09, [1] * 400, confidence=1 - 2 * error), values, 0.1, 8
            )
            == expected
        )
    assert 0 < seen.count(None) < len(seen)


def test_a_flat_record_decides_soon() -> None:
    assert stopped_at(ConfidenceSequence(0.1, 0.09, [1] * 511), np.zeros(511), 0.1, 7) in range(
        14, 64
    )
    assert stopped_at(ConfidenceSequence(0.1, 0.09, [1] * 511), np.ones(511), 0.1, 7) in range(
        7, 15
    )


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=60), st.integers(1, 60))
def test_chunks_do_not_matter_and_nothing_widens(values: list[int], cut: int) -> None:
    def new() -> ConfidenceSequence:
        return ConfidenceSequence(0.2, 0.19, [1] * len(values), support=(-1, 1))

    one, other = new(), new()
    first = other.add(values[:cut], [1] * len(values[:cut]))
    second = other.add(values[cut:], [1] * len(values[cut:]))
    whole = one.add(values, [1] * len(values))
    assert (whole.low, whole.high) == pytest.approx((second.low, second.high), abs=1e-9)
    assert -1 <= first.low <= second.low + 1e-12
    assert second.high <= first.high + 1e-12 <= 1 + 1e-9


def test_images_of_one_prompt_that_are_all_alike_count_once() -> None:
    values = np.random.default_rng(5).random(60) < 0.3
    alone = ConfidenceSequence(0.1, 0.05, [1] * 60)
    fourfold = ConfidenceSequence(0.1, 0.05 / sequential.unit_variance(1, 4), [4] * 60)
    one, four = alone.add(values, [1] * 60), fourfold.add(4.0 * values, [4] * 60)
    assert (four.low, four.high) == pytest.approx((one.low, one.high), abs=1e-9)


def test_prompts_of_different_sizes_weigh_by_their_images() -> None:
    # One image in ten is flagged, though every second prompt is.
    sizes = [1, 9] * 300
    found = ConfidenceSequence(0.1, 0.09, sizes).add([1.0, 0.0] * 300, sizes)
    assert found.low < 0.1 < found.high < 0.4


@pytest.mark.parametrize(
    ("sums", "sizes"),
    [
        ([1.0], [2]),
        ([2.0], [1]),
        ([-0.5], [1]),
        ([0.0] * 4, [1] * 4),
        ([0.0], [0]),
        ([0.0, 1.0], [1]),
    ],
)
def test_what_is_not_of_the_plan_is_refused(sums: list[float], sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="fit the plan"):
        ConfidenceSequence(0.1, 0.09, [1] * 3).add(sums, sizes)


def test_a_plan_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="a plan of one unit"):
        ConfidenceSequence(0.1, 0.09, [])


@pytest.mark.parametrize(
    "wrong",
    [(-0.1, 0.09, 10, 0.02), (0.1, 0.0, 10, 0.02), (0.1, 0.09, 0, 0.02), (0.1, 0.09, 10, 1.0)],
)
def test_bets_that_cannot_be_sized_are_refused(wrong: tuple[float, float, int, float]) -> None:
    with pytest.raises(ValueError, match="Bets need"):
        sequential.bets(*wrong)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_parts_of_the_error_add_up(confidence: float) -> None:
    during, at_the_end = sequential.split(confidence)
    assert (1 - during) + (1 - at_the_end) == pytest.approx(1 - confidence)
