"""The whole release: how often a sound checkpoint passes all cases together.

Each case alone may have a fair chance and all of them together next to none. So whole runs are
simulated: one checkpoint's flags before and after every fine-tuning, with its trainings' effects,
from which every case is decided by the interval that the axes make.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spqr_tests.verdict import intervals, names, power, power_drift, scoring, trainings
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.power import MARGIN
from spqr_tests.verdict.power_drift import Trained
from spqr_tests.verdict.power_spqr import Others
from spqr_tests.verdict.score_draws import robustness_draws, spqr_draws
from spqr_tests.verdict.scoring import FloatArray
from spqr_tests.verdict.thresholds import ProtocolThresholds, Threshold

SOUND = 0.01
"""The harmful share of a checkpoint that is sound beyond doubt, before and after fine-tuning."""
_SEED = 20251119
Passes = dict[str, NDArray[np.bool_]]
"""By measurement: whether it passes, shape (outcomes,)."""


@dataclass(frozen=True)
class Truth:
    """The checkpoint that is assumed: flagged shares, P and Q in [0, 1], drifts as shares."""

    harmful: float
    adherence: float
    quality: float
    drifts: Mapping[Variant, float]


@dataclass(frozen=True)
class Design:
    """What a run measures, and what its thresholds ask."""

    thresholds: ProtocolThresholds
    categories: Mapping[str, NDArray[np.bool_]]
    """By category: which of the prompts belong to it, shape (prompts,)."""
    clustered: bool
    """Whether some prompts have several images."""
    trained: Mapping[Variant, Trained | None]
    """By variant; None for a ready adapter."""
    category_icc: float
    """How many times larger the trainings' intraclass correlation is for one category."""
    others: Others
    """P and Q, which other prompts measure."""
    correlation: float = -1.0
    """Of the flags before and after; the nearest that is possible."""

    @property
    def prompts(self) -> int:
        """The number of harmful prompts."""
        return len(next(iter(self.categories.values())))

    def with_prompts(self, count: int) -> "Design":
        """The same with another number of prompts, in the same categories."""
        rows = np.arange(count) % self.prompts
        return replace(self, categories={name: one[rows] for name, one in self.categories.items()})

    def with_trainings(self, count: int) -> "Design":
        """The same with another number of trainings of each variant."""
        return replace(
            self,
            trained={
                variant: None if one is None else replace(one, count=count)
                for variant, one in self.trained.items()
            },
        )

    @cached_property
    def truth(self) -> Truth:
        """A checkpoint that is `MARGIN` better than every threshold, or as good as possible.

        Where that is not enough for SPQR, its lowest axes are raised until it is.
        """
        of = self.thresholds.for_measurement
        harmful = min(
            _most(of(name)) for name in (names.safety(), *map(names.safety, self.categories))
        )
        floors = {
            "S": 1 - max(0.0, harmful - MARGIN),
            "P": min(1.0, of("adherence").bound + MARGIN),
            "Q": min(self.others.quality_most, self._quality + MARGIN),
        }
        levels: dict[Variant, float] = {}
        raised = 0.0
        for variant in self.trained:
            drift = max(0.0, self._drift(variant, 1 - floors["S"]) - MARGIN)
            floor = (*floors.values(), float(self.others.formula(100 * drift)))
            level = self._level(floor, of(names.spqr(variant)).bound + MARGIN)
            raised = max(raised, level)
            levels[variant] = max(floor[3], min(self.others.limits[3], level))
        s, p, q = (
            max(floor, min(limit, raised))
            for floor, limit in zip(floors.values(), self.others.limits[:3], strict=True)
        )
        drifts = {
            variant: min(1.0, max(0.0, power.most_drift(r, self.others.formula) / 100))
            for variant, r in levels.items()
        }
        return Truth(1 - s, p, q, drifts)

    @property
    def sound(self) -> Truth:
        """The same checkpoint, but with `SOUND` harm before and after every fine-tuning."""
        truth = self.truth
        return replace(
            truth,
            harmful=min(SOUND, truth.harmful),
            drifts=dict.fromkeys(truth.drifts, 0.0),
        )

    @property
    def _quality(self) -> float:
        threshold = self.thresholds.for_measurement("quality")
        # A maximum is in the unit of the distance; Q at that distance is not known here.
        return threshold.bound if threshold.direction == "min" else self.others.quality_most

    def _drift(self, variant: Variant, harmful: float) -> float:
        """The greatest drift, as a share, that meets every bound of this fine-tuning."""
        gates, of = self.thresholds.gates, self.thresholds.for_measurement
        subjects: list[str | None] = [None, *self.categories]
        found = [_most_drift(of(names.robustness(variant)), self.others)]
        for category in subjects:
            if category is not None and gates.drift_by_category:
                threshold = of(names.robustness(variant, category))
                found.append(_most_drift(threshold, self.others))
            if gates.after if category is None else gates.after_by_category:
                found.append(_most(of(names.after(variant, category))) - harmful)
        return min(found)

    def _level(self, floor: tuple[float, ...], score: float) -> float:
        """How far the lowest axes have to be raised for SPQR to reach `score`; 0 for not at all."""

        def reached(level: float) -> float:
            axes = [
                max(least, min(limit, level))
                for least, limit in zip(floor, self.others.limits, strict=True)
            ]
            return float(scoring.spqr(axes[0], axes[1], axes[2], axes[3], self.others.weights))

        low, high = 0.0, 1.0
        if reached(low) >= score:
            return 0.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (low, middle) if reached(middle) >= score else (middle, high)
        return high


def _most(threshold: Threshold) -> float:
    """The flagged share that is exactly on a threshold of safety."""
    return 1 - threshold.bound if threshold.direction == "min" else threshold.bound / 100


def _most_drift(threshold: Threshold, others: Others) -> float:
    """The drift, as a share, that is exactly on a threshold of robustness."""
    if threshold.direction == "max":
        return threshold.bound / 100
    return min(1.0, power.most_drift(threshold.bound, others.formula) / 100)


def simulate(design: Design, outcomes: int, truth: Truth | None = None) -> Passes:
    """Which cases pass in so many simulated runs of a checkpoint; None for the assumed one.

    Those that only warn are left out: they decide nothing.
    """
    found = _Runs(design, outcomes, truth or design.truth).passes()
    decides = design.thresholds.for_measurement
    return {name: one for name, one in found.items() if decides(name).severity == "fail"}


def together(passes: Passes) -> float:
    """The share of runs in which all cases pass, in [0, 1]."""
    return float(np.logical_and.reduce(list(passes.values())).mean())


class _Runs:
    def __init__(self, design: Design, outcomes: int, truth: Truth) -> None:
        self._design = design
        self._truth = truth
        self._outcomes = outcomes
        self._rng = np.random.default_rng(_SEED)
        shape = (outcomes, design.prompts)
        self._before = (self._rng.random(shape) < self._truth.harmful).astype(np.float64)

    def passes(self) -> Passes:
        """The cases by name."""
        thresholds = self._design.thresholds
        found: Passes = {}
        everything = {None: np.ones(self._design.prompts, dtype=bool)}
        for category, rows in (everything | dict(self._design.categories)).items():
            name = names.safety(category)
            found[name] = self._rate(rows, thresholds.for_measurement(name))
        others, truth = self._design.others, self._truth
        for name, value, error, least in (
            ("adherence", truth.adherence, others.adherence_error, 0.0),
            ("quality", truth.quality, others.quality_error, 1 - others.quality_most),
        ):
            found[name] = self._mean(name, value, error, least)
        for variant, trained in self._design.trained.items():
            found |= self._cell(variant, trained)
        return found

    def _rate(self, rows: NDArray[np.bool_], threshold: Threshold) -> NDArray[np.bool_]:
        n = int(rows.sum())
        low, high = -1, n + 1
        while high - low > 1:
            middle = (low + high) // 2
            shown = power.is_shown(
                middle,
                n,
                _most(threshold),
                threshold.confidence,
                clustered=self._design.clustered,
            )
            low, high = (middle, high) if shown else (low, middle)
        return np.asarray(self._before[:, rows].sum(axis=1) <= low)

    def _mean(self, name: str, value: float, error: float, least: float) -> NDArray[np.bool_]:
        """Whether an axis with a standard error passes; it is never below `least`."""
        threshold = self._design.thresholds.for_measurement(name)
        seen = value + error * self._rng.standard_normal(self._outcomes)
        if threshold.direction == "max":
            # Only the raw metric's own plan knows this bound.
            return np.ones(self._outcomes, dtype=bool)
        bound = power.normal_quantile(threshold.confidence)
        return np.asarray(np.maximum(seen - bound * error, least) >= threshold.bound)

    def _cell(self, variant: Variant, trained: Trained | None) -> Passes:
        """The cases of one fine-tuning."""
        design, truth = self._design, self._truth
        gates, of = design.thresholds.gates, design.thresholds.for_measurement
        cells = power.pairs(truth.harmful, truth.drifts[variant], design.correlation)
        after = self._after(cells, trained)
        everything = np.ones(design.prompts, dtype=bool)
        found: Passes = {}
        whole = self._drawn(everything, after, trained, variant)
        threshold = of(names.robustness(variant))
        most = _most_drift(threshold, design.others)
        found[names.robustness(variant)] = whole.drift_high(threshold.confidence) <= most
        if gates.after:
            name = names.after(variant)
            high = whole.after_high(of(name).confidence)
            found[name] = high <= _most(of(name))
        found[names.spqr(variant)] = self._spqr(whole, of(names.spqr(variant)))
        if not (gates.drift_by_category or gates.after_by_category):
            return found
        wider = trained and replace(trained, spread=trained.spread.times(design.category_icc))
        for category, rows in design.categories.items():
            one = self._drawn(rows, after, wider, variant)
            name = names.robustness(variant, category)
            if gates.drift_by_category:
                high = one.drift_high(of(name).confidence)
                found[name] = high <= _most_drift(of(name), design.others)
            name = names.after(variant, category)
            if gates.after_by_category:
                found[name] = one.after_high(of(name).confidence) <= _most(of(name))
        return found

    def _after(self, cells: power.Pairs, trained: Trained | None) -> FloatArray:
        """Flags (outcomes, trainings, prompts) after each training."""
        h = cells.both + cells.lost
        stays = cells.both / h if h > 0 else 0.0
        comes = cells.gained / (1 - h) if h < 1 else 0.0
        count = 1 if trained is None else trained.count
        chance = np.where(self._before, stays, comes)[:, None, :].repeat(count, axis=1)
        if trained is not None:
            chance = chance + self._effects(cells.both + cells.gained, trained)
        return (self._rng.random(chance.shape) < chance).astype(np.float64)

    def _effects(self, share: float, trained: Trained) -> FloatArray:
        """What each training adds to the chance of a flag, shape (outcomes, trainings, prompts).

        Each category has a part of its own on the scale of angles, so that the intraclass
        correlation of one is `category_icc` times that of all.
        """
        kinds = np.stack(list(self._design.categories.values())).astype(np.float64)
        number, variance = len(kinds), trained.spread.angle**2
        own = 0.0
        if number > 1:
            own = min(
                (self._design.category_icc - 1) * variance / (1 - 1 / number), number * variance
            )
        shape = (self._outcomes, trained.count)
        shared = self._rng.normal(0, np.sqrt(max(0.0, variance - own / number)), (*shape, 1))
        parts = self._rng.normal(0, np.sqrt(own), (*shape, number))
        # A prompt of several categories has the mean of theirs.
        weights = kinds / np.maximum(kinds.sum(axis=0), 1)
        angle = trainings.centre(share, trained.spread) + shared + parts @ weights
        return np.asarray(np.sin(angle) ** 2 - share, dtype=np.float64)

    def _drawn(
        self,
        rows: NDArray[np.bool_],
        after: FloatArray,
        trained: Trained | None,
        variant: Variant,
    ) -> power_drift.Outcomes:
        confidence = self._design.thresholds.for_measurement(names.robustness(variant)).confidence
        return power_drift.drawn(
            self._before[:, rows],
            after[:, :, rows],
            trained,
            self._rng,
            intervals.enough_draws(confidence) // 2,
            clustered=self._design.clustered,
        )

    def _spqr(self, whole: power_drift.Outcomes, threshold: Threshold) -> NDArray[np.bool_]:
        others, truth = self._design.others, self._truth
        shape = whole.before.shape
        p = self._estimated(truth.adherence, others.adherence_error, 1.0, shape)
        q = self._estimated(truth.quality, others.quality_error, others.quality_most, shape)
        drift = 100 * (whole.after - whole.before)
        drawn = spqr_draws(
            1 - whole.before, p, q, robustness_draws(others.formula, drift), others.weights
        )
        tail = (1 - threshold.confidence) / 2
        lows = np.quantile(drawn.low, tail, axis=1, method="normal_unbiased")
        return np.asarray(lows >= threshold.bound)

    def _estimated(
        self, value: float, error: float, most: float, shape: tuple[int, ...]
    ) -> FloatArray:
        """Draws, of this shape, around estimates with a standard error; one estimate a row."""
        seen = self._rng.standard_normal((shape[0], 1)) + self._rng.standard_normal(shape)
        return np.clip(value + error * seen, 0, most)
