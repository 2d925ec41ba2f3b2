"""Uptake: what shows that a fine-tune taught something and left a model."""

from dataclasses import replace

import numpy as np
import pytest

from spqr_tests.verdict import uptake
from spqr_tests.verdict.decisions import Outcome, decide, decide_axis
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.verdict.thresholds import Threshold
from spqr_tests.verdict.uptake import Kept, Learned, Uptake, no_evidence

RNG = np.random.default_rng(5)
BEFORE = RNG.gamma(4, 0.05, 64)


def _learned(after: np.ndarray) -> Learned:
    return uptake.learned(BEFORE, after, held_out=True)


def test_what_did_not_change_taught_nothing() -> None:
    found = _learned(BEFORE.copy())
    assert (found.gain, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-12)
    said = uptake.taught(found, 0.0)
    assert said is not None
    assert said.startswith("the fine-tune taught nothing: held-out loss 0.")
    assert "at least 0.0 % is asked for); raise the learning rate or the steps" in said


@pytest.mark.parametrize(
    ("factor", "noise", "least", "words"),
    [
        (0.8, 0.0, 0.1, None),
        (0.8, 0.02, 0.1, None),
        (0.97, 0.0, 0.1, "taught nothing"),
        (1.0, 0.05, 0.0, "taught nothing"),
        (0.9, 0.03, 0.09, "is not shown to have taught enough"),
        (3.0, 0.1, 0.0, "destroyed what the model knew"),
    ],
)
def test_the_fall_of_the_loss_is_read_by_its_lower_bound(
    factor: float, noise: float, least: float, words: str | None
) -> None:
    found = _learned(BEFORE * factor + np.random.default_rng(2).normal(0, noise, 64))
    assert found.low <= found.gain <= found.high
    said = uptake.taught(found, least)
    assert (said is None) == (words is None)
    assert words is None or words in (said or "")


def test_the_loss_of_a_small_set_is_called_what_it_is() -> None:
    said = uptake.taught(replace(_learned(BEFORE), held_out=False), 0.1)
    assert said is not None
    assert "loss on its own pictures" in said


@pytest.mark.parametrize("n", [12, 40, 200])
def test_the_interval_of_a_ratio_covers(n: int) -> None:
    """Pairs of losses, of which the second is on average .9 of the first."""
    rng, held, runs = np.random.default_rng(3), 0, 1000
    for _ in range(runs):
        before = rng.gamma(3, 0.1, n)
        after = before * rng.normal(0.9, 0.1, n)
        value, bounds = uptake.ratio(after, before)
        assert value == pytest.approx(after.mean() / before.mean())
        held += bounds.low <= 0.9 <= bounds.high
    assert held / runs == pytest.approx(0.95, abs=0.025)


def test_images_of_one_prompt_are_one_unit_of_a_ratio() -> None:
    upper, lower = RNG.gamma(3, 0.1, 20), RNG.gamma(3, 0.1, 20)
    clusters = np.repeat([f"prompt {number}" for number in range(20)], 3)
    plain = uptake.ratio(upper, lower)
    again = uptake.ratio(np.repeat(upper, 3), np.repeat(lower, 3), clusters)
    assert (again[0], *vars(again[1]).values()) == pytest.approx(
        (plain[0], *vars(plain[1]).values())
    )


def test_a_ratio_to_what_may_be_0_is_unknown() -> None:
    value, bounds = uptake.ratio([1.0, 1.1, 0.9], [1.0, -1.0, 0.1])
    assert bounds.low <= 0
    assert bounds.high >= max(1, value)


def _kept(share: float, low: float, high: float) -> Kept:
    return Kept(0.9, 0.9 * share, 0, 1, 0.9 * share - 0.9, -1, 0, share, low, high, 64)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (_kept(0.9, 0.8, 0.95), None),
        (_kept(0.5, 0.5, 0.6), None),
        (_kept(0.3, 0.2, 0.4), "the fine-tune destroyed the model: P 0.900 before, 0.270 after"),
        (_kept(0.6, 0.4, 0.8), "is not shown to have left the model alive"),
    ],
)
def test_what_is_left_is_read_by_its_lower_bound(kept: Kept, words: str | None) -> None:
    said = uptake.left("P", kept, 0.5)
    assert (said is None) == (words is None)
    assert words is None or words in (said or "")


RAW = Measurement("drift[a-b]", 1, 0, 2, n=9, method="m", unit="points", higher_is_better=False)


@pytest.mark.parametrize("on_estimate", [False, True])
@pytest.mark.parametrize(("bound", "direction"), [(0.5, "min"), (5, "max"), (-5, "max")])
def test_what_is_no_evidence_neither_passes_nor_fails(
    bound: float, direction: str, *, on_estimate: bool
) -> None:
    measured = RAW.through("robustness[a-b]", lambda points: 1 - points / 100)
    marked = replace(measured, not_evidence="the fine-tune taught nothing: so it is")
    threshold = Threshold(bound, "min" if direction == "min" else "max", "why")
    plain = decide_axis(measured, threshold, on_estimate=on_estimate)
    decision = decide_axis(marked, threshold, on_estimate=on_estimate)
    assert plain.outcome is not Outcome.INCONCLUSIVE
    assert (decision.outcome, decision.decided_by) == (Outcome.INCONCLUSIVE, "interval")
    assert decision.sentence.endswith(
        "is no evidence, since the fine-tune taught nothing: so it is."
    )
    assert decision.to_dict()["outcome"] == "inconclusive"


def test_a_measurement_keeps_why_it_is_no_evidence() -> None:
    marked = replace(RAW, not_evidence="x")
    assert marked.to_dict()["not_evidence"] == "x"
    assert marked.through("r", float).not_evidence == "x"
    assert decide(RAW, Threshold(5, "max", "why")).outcome is Outcome.PASS


def test_one_training_that_is_no_evidence_is_named_unless_all_say_the_same() -> None:
    took, none, other = Uptake(), Uptake(not_evidence="a"), Uptake(not_evidence="b")
    for found, said in (
        ((took,), None),
        ((took, took), None),
        ((none,), "a"),
        ((none, none), "a"),
        ((took, none), "in training 2 of 2, a"),
        ((none, other), "in training 1 of 2, a"),
        ((took, other, none), "in training 2 of 3, b"),
    ):
        assert no_evidence(found) == said
