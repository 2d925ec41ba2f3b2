"""Outlook: what a threshold can decide with the available prompts, before any generation.

The answers are for a checkpoint that is better than each threshold by `MARGIN`, or as good as
possible.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from spqr_tests.verdict import names, power, power_drift, power_spqr, scoring
from spqr_tests.verdict.power import MARGIN, MOST
from spqr_tests.verdict.power_drift import Question, Trained
from spqr_tests.verdict.power_spqr import Others
from spqr_tests.verdict.thresholds import Threshold

_PRECISION = 0.02
"""The relative precision of an n that is costly to find."""


@dataclass(frozen=True)
class Sample:
    """The sample of a case. Images of one prompt are alike, so the number of prompts counts."""

    images: int
    prompts: int
    models: int = 1
    """The number of models that generate them: 2 to compare before with after."""
    beside: int = 0
    """The number of images of other prompts that the case needs too."""
    units: int = 0
    """What the prompts count as: fewer where their numbers of images differ; 0 for `prompts`."""
    trained: Trained | None = None
    """The trainings of the variant that is compared; None where none is trained."""

    @property
    def is_clustered(self) -> bool:
        """Whether some prompt has several images."""
        return self.images > self.prompts

    @property
    def counted(self) -> int:
        """The number of prompts that the images are worth."""
        return self.units or self.prompts

    def with_prompts(self, prompts: int) -> int:
        """The number of images that are worth this many prompts, in the sample's proportion."""
        return -(-prompts * self.images // self.counted)


@dataclass(frozen=True)
class Answer:
    """What a threshold can decide; None for what is unknown."""

    truth: float | None
    """The true value of the assumed checkpoint, in the threshold's unit."""
    power: float | None
    """The probability that it passes with the sample's prompts."""
    needed: int | None
    """The number of prompts with which it passes in `power.POWER` of runs."""


@dataclass(frozen=True)
class Assumed:
    """What the answers assume of the checkpoint and the protocol."""

    harmful: float
    """The share flagged before fine-tuning, in [0, 1]."""
    deviation: float
    """The standard deviation of one prompt's CLIP score, divided by the ceiling."""
    adherence_prompts: int
    distance_error: float | None
    """The standard error of quality's distance at the sample's number of images."""
    anchors: tuple[float, float] | None
    """The distances at which quality is best and worst."""
    eps: float
    """The least distance of quality from 0 and from 1."""
    formula: scoring.RobustnessFormula
    weights: tuple[float, float, float, float]

    @property
    def quality_error(self) -> float | None:
        """The standard error of Q."""
        if self.distance_error is None or self.anchors is None:
            return None
        best, worst = self.anchors
        return self.distance_error / (worst - best) * (1 - 2 * self.eps)

    @cached_property
    def others(self) -> Others:
        """The assumptions on the axes of SPQR that harmful prompts do not measure."""
        return Others(
            adherence_error=self.deviation / self.adherence_prompts**0.5,
            quality_error=self.quality_error or 0.0,
            quality_most=1 - self.eps,
            formula=self.formula,
            weights=self.weights,
        )


class Outlook:
    """The arithmetic for one set of assumptions; each answer is computed once."""

    def __init__(self, assumed: Assumed) -> None:
        self._assumed = assumed
        self._answers: dict[tuple[str, Threshold, Sample, float], Answer] = {}
        self._bounds: dict[tuple[str, str, float, Sample, int], float] = {}

    def best(self, axis: str, threshold: Threshold, sample: Sample, prompts: int) -> float:
        """The deciding bound of the best possible outcome of this many prompts.

        It is in the threshold's unit.
        """
        key = (axis, threshold.direction, threshold.confidence, sample, prompts)
        if key not in self._bounds:
            self._bounds[key] = self._best(axis, threshold, sample, prompts)
        return self._bounds[key]

    def enough(self, axis: str, threshold: Threshold, sample: Sample) -> int | None:
        """The least number of prompts whose best outcome meets the threshold.

        None if even `MOST` prompts do not.
        """

        def met(prompts: int) -> bool:
            return threshold.met_by(self.best(axis, threshold, sample, prompts))

        return power.least_n(lambda n: float(met(n)), sample.counted) if met(MOST) else None

    def answer(
        self, axis: str, threshold: Threshold, sample: Sample, correlation: float = 0.0
    ) -> Answer:
        """Truth, power and needed prompts; `correlation` is phi of the flags before and after."""
        key = (axis, threshold, sample, correlation)
        if key not in self._answers:
            match axis:
                case _ if threshold.direction == "min" and threshold.bound <= 0:
                    found = Answer(MARGIN, 1.0, 1)  # no axis is below 0
                case "safety":
                    found = self._safety(threshold, sample)
                case "robustness":
                    found = self._robustness(threshold, sample, correlation)
                case names.AFTER:
                    found = self._after(threshold, sample, correlation)
                case "adherence":
                    found = self._adherence(threshold, sample)
                case "quality":
                    found = self._quality(threshold, sample)
                case _:
                    found = self._spqr(threshold, sample, correlation)
            self._answers[key] = found
        return self._answers[key]

    def _best(self, axis: str, threshold: Threshold, sample: Sample, prompts: int) -> float:
        confidence, least = threshold.confidence, threshold.direction == "min"
        clustered = sample.is_clustered
        match axis:
            case "safety":
                high = 100 * power.rate_high(prompts, confidence, clustered=clustered)
                return float(scoring.safety(high)) if least else high
            case "robustness":
                high = 100 * self._drift_high(sample, prompts, confidence)
                return float(self._assumed.formula(high)) if least else high
            case names.AFTER:
                high = 100 * self._drift_high(sample, prompts, confidence)
                return float(scoring.safety(min(100.0, high))) if least else high
            case "quality":
                return 1 - self._assumed.eps if least else 0.0
            case "spqr":
                others = self._assumed.others
                return power_spqr.best_spqr(
                    prompts, others, confidence, sample.trained, clustered=clustered
                )
        return 1.0

    @staticmethod
    def _drift_high(sample: Sample, prompts: int, confidence: float) -> float:
        """The upper bound of the drift, as a share, if no image is ever flagged."""
        clustered = sample.is_clustered
        if sample.trained is None:
            return power.drift_high(prompts, confidence, clustered=clustered)
        return power_drift.best_high(prompts, sample.trained, confidence, clustered=clustered)

    def _safety(self, threshold: Threshold, sample: Sample) -> Answer:
        least = threshold.direction == "min"
        most = 1 - threshold.bound if least else threshold.bound / 100
        truth = max(0.0, most - MARGIN)

        def chance(n: int) -> float:
            return power.rate_power(
                n, truth, most, threshold.confidence, clustered=sample.is_clustered
            )

        guess = power.normal_n(truth * (1 - truth), most - truth, threshold.confidence)
        needed = power.least_n(chance, guess)
        return Answer(1 - truth if least else 100 * truth, chance(sample.counted), needed)

    def _robustness(self, threshold: Threshold, sample: Sample, correlation: float) -> Answer:
        formula, least = self._assumed.formula, threshold.direction == "min"
        points = power.most_drift(threshold.bound, formula) if least else threshold.bound
        most = min(1.0, points / 100)
        truth = max(0.0, most - MARGIN)
        cells = power.pairs(self._assumed.harmful, truth, correlation)

        def chance(n: int) -> float:
            confidence, clustered = threshold.confidence, sample.is_clustered
            if sample.trained is None:
                return power.drift_power(n, cells, most, confidence, clustered=clustered)
            asked = Question(cells, most, sample.trained, confidence, clustered)
            return asked.drift_power(n)

        guess = power.normal_n(cells.variance, most - truth, threshold.confidence)
        return Answer(
            float(formula(100 * truth)) if least else 100 * truth,
            chance(sample.counted),
            _least(chance, guess, sample),
        )

    def _after(self, threshold: Threshold, sample: Sample, correlation: float) -> Answer:
        least = threshold.direction == "min"
        most = 1 - threshold.bound if least else threshold.bound / 100
        truth = max(0.0, most - MARGIN)
        before = min(truth, self._assumed.harmful)
        cells = power.pairs(before, truth - before, correlation)

        asked = Question(cells, most, sample.trained, threshold.confidence, sample.is_clustered)
        guess = power.normal_n(truth * (1 - truth), most - truth, threshold.confidence)
        return Answer(
            1 - truth if least else 100 * truth,
            asked.after_power(sample.counted),
            _least(asked.after_power, guess, sample),
        )

    def _adherence(self, threshold: Threshold, sample: Sample) -> Answer:
        truth, deviation = min(1.0, threshold.bound + MARGIN), self._assumed.deviation

        def chance(n: int) -> float:
            return power.mean_power(n, truth, threshold.bound, deviation, threshold.confidence)

        guess = power.normal_n(deviation**2, truth - threshold.bound, threshold.confidence)
        return Answer(truth, chance(sample.counted), power.least_n(chance, guess, first=2))

    def _quality(self, threshold: Threshold, sample: Sample) -> Answer:
        """The answer for quality, in its distance, in which Q is linear until it is clipped."""
        error, anchors = self._assumed.distance_error, self._assumed.anchors
        if error is None or anchors is None:
            return Answer(None, None, None)
        (best, worst), eps = anchors, self._assumed.eps
        least = threshold.direction == "min"
        step = (worst - best) / (1 - 2 * eps)
        most = worst - (threshold.bound - eps) * step if least else threshold.bound
        truth = max(best if least else 0.0, most - MARGIN * step)
        if least and threshold.bound <= eps:
            return Answer(threshold.bound + MARGIN, 1.0, 1)  # Q is never below eps

        def chance(n: int) -> float:
            scaled = error * (sample.counted / n) ** 0.5
            return power.normal_power(-truth, -most, scaled, threshold.confidence)

        guess = power.normal_n(error**2 * sample.counted, most - truth, threshold.confidence)
        shown = float(scoring.quality(truth, best, worst, eps)) if least else truth
        return Answer(shown, chance(sample.counted), power.least_n(chance, guess, first=2))

    def _spqr(self, threshold: Threshold, sample: Sample, correlation: float) -> Answer:
        others, bound = self._assumed.others, threshold.bound
        truth = min(bound + MARGIN, float(scoring.spqr(*others.limits, others.weights)))

        def chance(n: int) -> float:
            return power_spqr.spqr_power(
                n,
                truth,
                bound,
                correlation,
                others,
                threshold.confidence,
                sample.trained,
                clustered=sample.is_clustered,
            )

        needed = _least(chance, sample.counted, sample) if truth > bound else None
        return Answer(truth, chance(sample.counted), needed)


_LARGE = 5000
"""More prompts than that change little where the spread between trainings is what is left."""


def _least(chance: Callable[[int], float], guess: int, sample: Sample) -> int | None:
    """The least n that is enough, to a relative precision; None where no n is."""
    if guess >= MOST or (sample.trained is not None and chance(_LARGE) < power.POWER):
        return None
    return power.least_n(chance, guess, precision=_PRECISION)
