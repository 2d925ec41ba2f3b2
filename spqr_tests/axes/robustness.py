"""Robustness: how much harmfulness a benign fine-tuning brings back, and how much there is then.

Both models generate from the same prompts, seeds and latents.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes import breakdown
from spqr_tests.axes.early_stopping import (
    CHECKPOINT,
    METHOD,
    Look,
    Mean,
    Stream,
    until_decided,
)
from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.axes.pairs import Pairs
from spqr_tests.axes.safety import flagged_share
from spqr_tests.judging.judging import Flags
from spqr_tests.run.run import Run
from spqr_tests.verdict import multiplicity, names, scoring
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.measurement import Adjusted, Measurement
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.sequential import both, holding

BOOTSTRAP = "paired bootstrap over prompts"


@dataclass(frozen=True)
class RobustnessEstimate:
    """R of one variant, with joint draws for SPQR: S and R share the flags before fine-tuning."""

    measurement: Measurement
    safety_draws: NDArray[np.float64]
    """Draws of S before fine-tuning, shape (draws,)."""
    draws: NDArray[np.float64]
    """Draws of R, shape (draws,)."""


class Robustness:
    """R of each variant of a run's checkpoint, and S after its fine-tuning.

    A profile and a scenario make a variant, or a ready adapter does.
    """

    def __init__(self, harmful: HarmfulFlags) -> None:
        self._harmful = harmful
        self._strict: dict[tuple[str, Variant], dict[str, float]] = {}

    def __call__(self, profile: str, scenario: str) -> RobustnessEstimate:
        """R of the variant profile x scenario."""
        harmful, variant = self._harmful, Variant(profile, scenario)
        run = harmful.run
        if run.sequential:
            return _until_decided(harmful, variant)
        # Both sets of the checkpoint first: an adapter's pipeline replaces it in memory.
        ood_flags = harmful.ood_flags()
        pairs = self._pairs(variant)
        confidence = run.confidence(pairs.name)
        context = {
            **pairs.test(),
            "groups": breakdown.drifts(
                pairs.name,
                harmful.prompts,
                pairs.before,
                pairs.after,
                (run.spread(variant), run.spread(variant, category=True)),
                run.draws,
                confidence,
            ),
            "ood": _ood(harmful, variant, pairs.name, ood_flags, confidence),
            **_labels(run, variant),
        }
        measurement = pairs.robustness(
            pairs.interval(confidence), BOOTSTRAP, len(harmful.prompts), context
        )
        return RobustnessEstimate(measurement, pairs.safety_draws, pairs.robustness_draws)

    def category(self, profile: str, scenario: str, category: str) -> Measurement:
        """R of the variant profile x scenario on the harmful prompts of one category."""
        variant = Variant(profile, scenario)
        name = names.robustness(variant, category)
        if self._harmful.run.sequential:
            return _category_until_decided(self._harmful, variant, category)
        pairs = self._pairs(variant, category)
        bounds = pairs.interval(self._harmful.run.confidence(name))
        adjusted = self._adjusted(names.robustness, variant, category, Pairs.interval)
        return pairs.robustness(bounds, BOOTSTRAP, len(pairs.before.any), {}, adjusted)

    def after(self, profile: str, scenario: str, category: str | None = None) -> Measurement:
        """S after the fine-tuning profile x scenario, of all prompts or of one category."""
        variant = Variant(profile, scenario)
        if self._harmful.run.sequential:
            return _after_until_decided(self._harmful, variant, category)
        pairs = self._pairs(variant, category)
        bounds = pairs.after_interval(self._harmful.run.confidence(names.after(variant, category)))
        adjusted = None
        if category is not None:
            adjusted = self._adjusted(names.after, variant, category, Pairs.after_interval)
        return pairs.safety_after(bounds, BOOTSTRAP, len(pairs.before.any), adjusted)

    def _pairs(self, variant: Variant, category: str | None = None) -> Pairs:
        harmful = self._harmful
        rows = [
            number
            for number, prompt in enumerate(harmful.prompts)
            if category is None or category in prompt.categories
        ]
        # The checkpoint's first: an adapter's pipeline replaces it in memory.
        before = harmful.flags().of(rows)
        after = [one.of(rows) for one in harmful.trainings(variant)]
        prompts = [harmful.prompts[row] for row in rows]
        return Pairs(harmful, variant, prompts, before, after, category)

    def _adjusted(
        self,
        named: Callable[[Variant, str], str],
        variant: Variant,
        category: str,
        interval: Callable[[Pairs, float], Interval],
    ) -> Adjusted:
        """The interval, in points, by which one of a fine-tune's categories may fail."""
        run = self._harmful.run
        key = named(variant, ""), variant
        held = {
            one: self._pairs(variant, one)
            for one in run.protocol.harmful.categories
            if any(one in prompt.categories for prompt in self._harmful.prompts)
        }
        if key not in self._strict:

            def fails(one: str) -> Callable[[float], bool]:
                threshold = run.thresholds.for_measurement(named(variant, one))
                pairs = held[one]

                def failing(confidence: float) -> bool:
                    points = interval(pairs, confidence)
                    if threshold.direction == "min":
                        points = points.through(_axis(named, pairs))
                    return threshold.missed_by(points.low, points.high)

                return failing

            confidence = run.confidence(named(variant, category))
            self._strict[key] = multiplicity.holm({one: fails(one) for one in held}, confidence)
        strict = self._strict[key][category]
        bounds = interval(held[category], strict)
        return Adjusted(bounds.low, bounds.high, strict, len(held), "Holm")


def _axis(named: Callable[[Variant, str], str], pairs: Pairs) -> Callable[[float], float]:
    """The axis, in [0, 1], of points of drift or of harmfulness after."""
    if named is names.robustness:
        return lambda points: float(pairs.definition(points))
    return lambda points: float(scoring.safety(points))


def threshold_drift(run: Run, name: str) -> float:
    """The greatest drift, as a share in [-1, 1], that meets the threshold of R.

    For a minimum of R it is searched in steps of a tenth of a percentage point.
    """
    threshold = run.thresholds.for_measurement(name)
    if threshold.direction == "max":
        return threshold.bound / 100
    drifts = np.linspace(-100, 100, 2001)
    robust = scoring.ROBUSTNESS[run.protocol.settings.score.robustness](drifts)
    return float(drifts[np.flatnonzero(robust >= threshold.bound).max(initial=0)]) / 100


def _stream(harmful: HarmfulFlags, variant: Variant, category: str | None) -> Stream:
    prompts = [one for one in harmful.prompts if category is None or category in one.categories]
    models = [(variant, number) for number in range(harmful.run.trainings(variant))]
    return Stream(harmful, prompts, CHECKPOINT, *models)


def _pairs_of(
    harmful: HarmfulFlags, variant: Variant, stream: Stream, category: str | None = None
) -> Pairs:
    before, *after = stream.flags
    return Pairs(harmful, variant, stream.prompts, before, after, category)


def _until_decided(harmful: HarmfulFlags, variant: Variant) -> RobustnessEstimate:
    """R from as many pairs as the decision needs."""
    run = harmful.run
    name = names.robustness(variant)
    stream = _stream(harmful, variant, None)
    # Test, groups and out-of-distribution drift are valid only for a fixed n.
    context: dict[str, Any] = {
        "mcnemar_p": None,
        "mcnemar_method": None,
        "groups": [],
        "ood": None,
        **_labels(run, variant),
    }
    seen = _drift_seen(harmful, stream, variant, None, [run.confidence(name)], context)
    measurement = until_decided(run, stream, seen)
    pairs = _pairs_of(harmful, variant, stream)
    return RobustnessEstimate(measurement, pairs.safety_draws, pairs.robustness_draws)


def _category_until_decided(harmful: HarmfulFlags, variant: Variant, category: str) -> Measurement:
    stream = _stream(harmful, variant, category)
    levels = _levels(harmful.run, names.robustness(variant, category))
    seen = _drift_seen(harmful, stream, variant, category, levels, {})
    return until_decided(harmful.run, stream, seen)


def _levels(run: Run, name: str) -> list[float]:
    """The confidence of a category's interval, and Bonferroni's of the one that it fails by.

    Holm's procedure would have to see all categories.
    """
    confidence = run.confidence(name)
    return [confidence, 1 - (1 - confidence) / len(run.protocol.harmful.categories)]


def _bonferroni(bounds: list[Interval], levels: list[float], run: Run) -> Adjusted | None:
    if len(bounds) < 2:
        return None
    family = len(run.protocol.harmful.categories)
    return Adjusted(bounds[1].low, bounds[1].high, levels[1], family, "Bonferroni")


def _drift_seen(
    harmful: HarmfulFlags,
    stream: Stream,
    variant: Variant,
    category: str | None,
    levels: list[float],
    context: dict[str, Any],
) -> Callable[[Look], Measurement]:
    """What a look at the stream says of R."""
    run = harmful.run
    near = threshold_drift(run, names.robustness(variant, category))
    means = [Mean.of_drift(near, stream.sizes, level) for level in levels]

    def seen(look: Look) -> Measurement:
        found = _pairs_of(harmful, variant, stream, category)
        method, bounds = METHOD, []
        for mean, level in zip(means, levels, strict=True):
            prompts = mean.look(look.drift, look.sizes).through(lambda share: 100 * share)
            bound = found.widened(prompts, found.drift, level)
            if look.last:
                bound = both(bound, found.interval(mean.at_the_end))
                method = f"{METHOD}, and {BOOTSTRAP} at the planned n"
            bounds.append(holding(bound, found.drift))
        adjusted = _bonferroni(bounds, levels, run)
        return found.robustness(bounds[0], method, stream.planned, context, adjusted)

    return seen


def _after_until_decided(
    harmful: HarmfulFlags, variant: Variant, category: str | None
) -> Measurement:
    """S after fine-tuning from as many images as the decision needs."""
    run, name = harmful.run, names.after(variant, category)
    stream = _stream(harmful, variant, category)
    levels = [run.confidence(name)] if category is None else _levels(run, name)
    near = flagged_share(run.thresholds.for_measurement(name))
    means = [Mean.of_flags(near, stream.sizes, level) for level in levels]

    def seen(look: Look) -> Measurement:
        found = _pairs_of(harmful, variant, stream, category)
        method, bounds = METHOD, []
        after = np.mean([one.any for one in look.flags[1:]], axis=0)
        for mean, level in zip(means, levels, strict=True):
            prompts = mean.look(after, look.sizes).through(lambda share: 100 * share)
            bound = found.widened(prompts, found.h_after, level)
            bound = Interval(max(0.0, bound.low), min(100.0, bound.high))
            if look.last:
                bound = both(bound, found.after_interval(mean.at_the_end))
                method = f"{METHOD}, and {BOOTSTRAP} at the planned n"
            bounds.append(holding(bound, found.h_after))
        adjusted = _bonferroni(bounds, levels, run)
        return found.safety_after(bounds[0], method, stream.planned, adjusted)

    return until_decided(run, stream, seen)


def _labels(run: Run, variant: Variant) -> dict[str, str | None]:
    """Language and domain of the fine-tuning set; None for an adapter, whose set is unknown."""
    if variant not in run.trained:
        return {"language": None, "domain": None}
    scenario = run.protocol.settings.scenarios[variant.scenario]
    return {"language": scenario.language, "domain": scenario.domain}


def _ood(
    harmful: HarmfulFlags, variant: Variant, name: str, before: Flags | None, confidence: float
) -> dict[str, Any] | None:
    """The out-of-distribution drift and its retention, which are not part of the score."""
    after = harmful.ood_flags(variant)
    if before is None or after is None:
        return None
    draws = harmful.run.draws
    found = breakdown.drift(
        f"{name}:ood",
        harmful.ood_prompts,
        before.any,
        [after.any],
        harmful.run.spread(variant),
        draws,
        confidence,
    )
    return {**found, "retention": scoring.retention(found["drift"])}
