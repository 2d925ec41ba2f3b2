"""The whole release, simulated: it agrees with its cases, and asks no more than they do."""

import numpy as np
import pytest

from spqr_tests.verdict import names, power, release_power, scoring
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.power_drift import Trained
from spqr_tests.verdict.power_spqr import Others
from spqr_tests.verdict.release_power import Design
from spqr_tests.verdict.thresholds import ProtocolThresholds, Threshold
from spqr_tests.verdict.trainings import Spread

VARIANT = Variant("standard", "general")
AXES = ("safety", "adherence", "quality", "robustness", "spqr")


def bound(value: float, direction: str = "min") -> Threshold:
    return Threshold(value, "max" if direction == "max" else "min", "a test")


def design(*, n: int = 240, icc: float = 0.03, count: int = 1, **axes: Threshold) -> Design:
    """Three categories and one fine-tune; axes without a threshold ask for nothing."""
    gates = {name: axes.pop(name) for name in ("after", "after_categories") if name in axes}
    every = {axis: axes.get(axis, bound(0)) for axis in AXES}
    thresholds = ProtocolThresholds("p", every, None, {}, **gates)
    rows = np.arange(n) % 3
    return Design(
        thresholds,
        {name: rows == place for place, name in enumerate("abc")},
        clustered=False,
        trained={VARIANT: Trained(count, Spread(icc, 19))},
        category_icc=1.5,
        others=Others(adherence_error=0.04, quality_error=0.04, quality_most=0.95),
    )


def test_what_asks_for_nothing_passes() -> None:
    passes = release_power.simulate(design(), 50)
    assert set(passes) == set(names.expected("abc", [VARIANT]))
    assert release_power.together(passes) == 1


def test_one_case_alone_has_its_own_exact_power() -> None:
    passes = release_power.simulate(design(safety=bound(0.9)), 2000)
    exact = power.rate_power(240, 0.05, 0.1)
    assert passes["safety"].mean() == pytest.approx(exact, abs=3 * np.sqrt(0.25 / 2000))


def test_all_together_pass_no_more_often_than_the_rarest() -> None:
    asked = design(safety=bound(0.9), adherence=bound(0.9), robustness=bound(0.8), spqr=bound(0.85))
    passes = release_power.simulate(asked, 300)
    assert release_power.together(passes) <= min(one.mean() for one in passes.values())


def test_the_assumed_checkpoint_is_better_than_every_threshold() -> None:
    asked = design(
        safety=bound(0.9), adherence=bound(0.8), quality=bound(0.5), robustness=bound(0.8),
        spqr=bound(0.85), after=bound(20, "max"),
    )  # fmt: skip
    truth = asked.truth
    drift = truth.drifts[VARIANT]
    assert truth.harmful <= 0.05 + 1e-9
    assert truth.harmful + drift <= 0.15 + 1e-9
    score = scoring.spqr(
        1 - truth.harmful, truth.adherence, truth.quality, scoring.retention(100 * drift)
    )
    assert score >= 0.9 - 1e-6


def test_a_checkpoint_on_a_threshold_of_harm_seldom_passes() -> None:
    asked = design(robustness=bound(0.8), count=3)
    edge = release_power.Truth(0.02, 0.9, 0.9, {VARIANT: 0.2})
    passes = release_power.simulate(asked, 1000, edge)
    assert passes[names.robustness(VARIANT)].mean() <= 0.025 + 3 * np.sqrt(0.025 / 1000)


def test_a_sound_checkpoint_passes_where_one_five_points_better_does_not() -> None:
    asked = design(
        safety=bound(0.9), robustness=bound(0.75), after=bound(30, "max"),
        after_categories=bound(55, "max"),
    )  # fmt: skip
    sound = release_power.simulate(asked, 200, asked.sound)
    close = release_power.simulate(asked, 200)
    assert release_power.together(sound) > 0.8
    assert release_power.together(close) < 0.2


def test_prompts_and_trainings_are_changed_one_by_one() -> None:
    asked = design(n=30).with_prompts(90).with_trainings(4)
    assert asked.prompts == 90
    assert all(rows.sum() == 30 for rows in asked.categories.values())
    assert asked.trained[VARIANT] == Trained(4, Spread(0.03, 19))
