"""Prospects: what the thresholds in force can decide with the prompts that there are, before anything is painted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from spqr_fixtures.run import Run
from spqr_tests.evidence.prompt_sets import Prompt
from spqr_tests.plugin.knowledge import Knowledge
from spqr_tests.reports.plan import Prospect
from spqr_tests.verdict import power, scoring
from spqr_tests.verdict.power import MARGIN, MOST, Others
from spqr_tests.verdict.thresholds import Threshold

DEVIATION = 0.15
"""Of one prompt's CLIP score over the ceiling, where none is stored: the embedded base and esd-u have .09 and .11 (n = 512)."""
_PRECISION = 0.02
"""Of an n that takes simulations to find."""
_LUCK = 0.5
"""A power below this is worth a warning."""
_NAMED = 3
"""So many cases a warning names; of more it says how many they are."""
_UNITS = {"safety": " %", "robustness": " points"}
"""What a maximum is in."""
_AT_BEST = {"safety": "0 flagged", "robustness": "no change at all", "spqr": "the best of axes"}
"""The outcome that nothing can surpass."""


@dataclass(frozen=True)
class Sample:
    """What a case looks at. Images of one prompt are alike, so that the prompts are what counts."""

    images: int
    prompts: int
    models: int = 1
    """How many models paint them: 2 where before is compared with after."""
    beside: int = 0
    """Images of other prompts that the case needs too."""

    @property
    def is_clustered(self) -> bool:
        """Whether some prompt has several images."""
        return self.images > self.prompts

    def with_prompts(self, prompts: int) -> int:
        """The images that so many prompts have, in the proportion that there is."""
        return -(-prompts * self.images // self.prompts)

    @classmethod
    def of(cls, prompts: Sequence[Prompt], models: int = 1, beside: int = 0) -> "Sample":
        """The sample of these rows."""
        return cls(len(prompts), len({one.text for one in prompts}), models, beside)


@dataclass(frozen=True)
class _Answer:
    """The truth in the threshold's unit, the power with it, and the prompts needed; None for what is not known."""

    truth: float | None
    power: float | None
    needed: int | None


class Prospects:
    """What the cases of a run can decide. `knowledge` is empty where nobody has looked into the store."""

    def __init__(self, run: Run, knowledge: Knowledge | None = None) -> None:
        self._run = run
        self._known = knowledge or Knowledge()
        self._answers: dict[tuple[str, Threshold, Sample, float], _Answer] = {}
        self._bounds: dict[tuple[str, str, float, Sample, int], float] = {}

    def of(self, names: Iterable[str]) -> list[Prospect]:
        """The prospect of each case."""
        return [self._prospect(name) for name in names]

    def impossible(self) -> list[str]:
        """A sentence for the cases that no outcome would let pass; none where their value may decide."""
        if self._run.on_estimate:
            return []
        return together((name, said) for name in self._run.expected if (said := self._never(name)) is not None)

    def assumptions(self, names: Sequence[str]) -> list[str]:
        """What the numbers suppose, a sentence's part each."""
        axes, known = {_axis(name) for name in names}, self._known
        truth = f"a checkpoint {100 * MARGIN:g} points better than each threshold, or as good as can be"
        said = [f"{truth}; needed is the n that it passes with in {power.POWER:.0%} of runs"]
        if "spqr" in axes:
            said.append("SPQR: that of four equal axes")
        if axes & {"robustness", "spqr"}:
            if "robustness" in axes:
                source = "as safety's case has it" if known.harmful is None else "measured"
                said.append(f"harmful before fine-tuning: {100 * self._harmful:.1f} % ({source})")
            paired = sorted({f"{one:.2f}" for one in known.correlations.values()})
            said.append(
                f"correlation of flags before and after: {', '.join(paired)} (measured)"
                if paired
                else "flags before and after: uncorrelated, the worst that pairing can be, until both are in the store"
            )
        if axes & {"adherence", "spqr"}:
            source = "measured" if known.deviation is not None else "until scores are in the store"
            said.append(f"CLIP scores over the ceiling: standard deviation {self._deviation:.3f} ({source})")
        if "quality" in axes and known.distance_error is None:
            said.append("quality: not known before pictures are in the store")
        if "spqr" in axes and self._quality_error is None:
            said.append("SPQR: as if quality were known for certain")
        if any(self._sample(name).is_clustered for name in names if _axis(name) not in {"adherence", "quality"}):
            said.append("images of one prompt: all flagged or none, the worst that they can be")
        if self._run.sequential:
            said.append("all prompts of a case are looked at: stopping early takes wider intervals")
        if self._run.on_estimate:
            said.append("what is left undecided is decided by its value, which is not counted as a pass here")
        return said

    def _prospect(self, name: str) -> Prospect:
        threshold, sample = self._run.thresholds.for_measurement(name), self._sample(name)
        answer, never = self._answer(name), self._never(name)
        needed = None if answer.needed is None else sample.with_prompts(answer.needed)
        return Prospect(
            name=name,
            direction=threshold.direction,
            bound=threshold.bound,
            confidence=threshold.confidence,
            truth=answer.truth,
            n=sample.images,
            n_needed=needed,
            power=0.0 if never is not None and answer.power is not None else answer.power,
            images=sample.models * sample.images + sample.beside,
            more_images=None if needed is None else sample.models * max(0, needed - sample.images),
            can_pass=never is None,
            warning=never or self._unlikely(name, answer, needed),
        )

    def _never(self, name: str) -> str | None:
        """Why a case cannot pass, without its name; None when it can."""
        threshold, sample = self._run.thresholds.for_measurement(name), self._sample(name)
        best = self._best(name, sample.prompts)
        if threshold.met_by(best):
            return None
        if _axis(name) == "quality":
            return (
                f"cannot pass: it is {_written(name, threshold, best)} at most, below "
                f"{_written(name, threshold, threshold.bound)}, whatever n is"
            )
        enough = (
            power.least_n(lambda n: float(threshold.met_by(self._best(name, n))), sample.prompts)
            if threshold.met_by(self._best(name, MOST))
            else None
        )
        end, beyond = ("a lower", "below") if threshold.direction == "min" else ("an upper", "above")
        could = f"{enough:,} prompts could" if enough is not None else f"{MOST:,} prompts could not either"
        return (
            f"cannot pass: with {_prompts(sample.prompts)} even {_AT_BEST[_axis(name)]} gives {end} bound of "
            f"{_written(name, threshold, best)}, {beyond} {_written(name, threshold, threshold.bound)}; {could}"
        )

    def _unlikely(self, name: str, answer: _Answer, needed: int | None) -> str | None:
        threshold, sample = self._run.thresholds.for_measurement(name), self._sample(name)
        if answer.power is None or answer.truth is None or answer.power >= _LUCK:
            return None
        remedy = f"{needed:,} give {power.POWER:.0%}" if needed is not None else f"no n up to {MOST:,} gives {power.POWER:.0%}"
        return (
            f"will hardly be decided: with n = {sample.images} a checkpoint of {_written(name, threshold, answer.truth)} passes in "
            f"{answer.power:.0%} of runs; {remedy}"
        )

    def _sample(self, name: str) -> Sample:
        return self._samples[_axis(name) if _axis(name) != "safety" else name]

    @cached_property
    def _samples(self) -> dict[str, Sample]:
        protocol, limit = self._run.protocol, self._run.limit
        harmful = protocol.harmful.first(limit).rows
        benign, painted = (one.first(limit and max(2, limit)).rows for one in (protocol.benign, protocol.painted))
        beside = len({(one.text, one.seed) for one in (*benign, *painted)})
        categories = {
            f"safety[{category}]": Sample.of([one for one in harmful if category in one.categories])
            for category in protocol.harmful.categories
        }
        return {
            "safety": Sample.of(harmful),
            **categories,
            "adherence": _of_more_than_one(benign),
            "quality": _of_more_than_one(painted),
            "robustness": Sample.of(harmful, models=2),
            "spqr": Sample.of(harmful, models=2, beside=beside),
        }

    def _best(self, name: str, prompts: int) -> float:
        """The bound that decides, of the best outcome that so many prompts can have, in the threshold's unit."""
        threshold = self._run.thresholds.for_measurement(name)
        axis, confidence, sample = _axis(name), threshold.confidence, self._sample(name)
        key = (axis, threshold.direction, confidence, sample, prompts)
        if key not in self._bounds:
            self._bounds[key] = self._best_bound(axis, threshold, sample, prompts)
        return self._bounds[key]

    def _best_bound(self, axis: str, threshold: Threshold, sample: Sample, prompts: int) -> float:
        confidence, least = threshold.confidence, threshold.direction == "min"
        match axis:
            case "safety":
                high = 100 * power.rate_high(prompts, confidence, clustered=sample.is_clustered)
                return float(scoring.safety(high)) if least else high
            case "robustness":
                high = 100 * power.drift_high(prompts, confidence, clustered=sample.is_clustered)
                return float(self._formula(high)) if least else high
            case "quality":
                return 1 - self._run.protocol.settings.quality.eps if least else 0.0
            case "spqr":
                return power.best_spqr(prompts, self._others, confidence, clustered=sample.is_clustered)
        return 1.0

    def _answer(self, name: str) -> _Answer:
        threshold, sample, axis = self._run.thresholds.for_measurement(name), self._sample(name), _axis(name)
        correlation = self._known.correlations.get(name.partition("[")[2].rstrip("]"), 0.0)
        key = (axis, threshold, sample, correlation)
        if key not in self._answers:
            match axis:
                case _ if threshold.direction == "min" and threshold.bound <= 0:
                    found = _Answer(MARGIN, 1.0, 1)  # no axis is below 0
                case "safety":
                    found = self._safety(threshold, sample)
                case "robustness":
                    found = self._robustness(threshold, sample, correlation)
                case "adherence":
                    found = self._adherence(threshold, sample)
                case "quality":
                    found = self._quality(threshold, sample)
                case _:
                    found = self._spqr(threshold, sample, correlation)
            self._answers[key] = found
        return self._answers[key]

    def _safety(self, threshold: Threshold, sample: Sample) -> _Answer:
        least = threshold.direction == "min"
        most = 1 - threshold.bound if least else threshold.bound / 100
        truth = max(0.0, most - MARGIN)

        def chance(n: int) -> float:
            return power.rate_power(n, truth, most, threshold.confidence, clustered=sample.is_clustered)

        guess = power.normal_n(truth * (1 - truth), most - truth, threshold.confidence)
        return _Answer(1 - truth if least else 100 * truth, chance(sample.prompts), power.least_n(chance, guess))

    def _robustness(self, threshold: Threshold, sample: Sample, correlation: float) -> _Answer:
        least = threshold.direction == "min"
        most = min(1.0, (power.most_drift(threshold.bound, self._formula) if least else threshold.bound) / 100)
        truth = max(0.0, most - MARGIN)
        cells = power.pairs(self._harmful, truth, correlation)

        def chance(n: int) -> float:
            return power.drift_power(n, cells, most, threshold.confidence, clustered=sample.is_clustered)

        guess = power.normal_n(cells.variance, most - truth, threshold.confidence)
        points = 100 * truth
        return _Answer(
            float(self._formula(points)) if least else points,
            chance(sample.prompts),
            power.least_n(chance, guess, precision=_PRECISION) if guess < MOST else None,
        )

    def _adherence(self, threshold: Threshold, sample: Sample) -> _Answer:
        truth = min(1.0, threshold.bound + MARGIN)

        def chance(n: int) -> float:
            return power.mean_power(n, truth, threshold.bound, self._deviation, threshold.confidence)

        guess = power.normal_n(self._deviation**2, truth - threshold.bound, threshold.confidence)
        return _Answer(truth, chance(sample.prompts), power.least_n(chance, guess, first=2))

    def _quality(self, threshold: Threshold, sample: Sample) -> _Answer:
        """Reckoned in FID, which Q is linear in until it is clipped."""
        error, anchors = self._known.distance_error, self._known.anchors
        if error is None or anchors is None:
            return _Answer(None, None, None)
        (best, worst), eps = anchors, self._run.protocol.settings.quality.eps
        least = threshold.direction == "min"
        step = (worst - best) / (1 - 2 * eps)
        most = worst - (threshold.bound - eps) * step if least else threshold.bound
        truth = max(best if least else 0.0, most - MARGIN * step)
        if least and threshold.bound <= eps:
            return _Answer(threshold.bound + MARGIN, 1.0, 1)  # as low as Q is, whatever the FID

        def chance(n: int) -> float:
            scaled = error * (sample.prompts / n) ** 0.5
            return power.normal_power(-truth, -most, scaled, threshold.confidence)

        guess = power.normal_n(error**2 * sample.prompts, most - truth, threshold.confidence)
        shown = float(scoring.quality(truth, best, worst, eps)) if least else truth
        return _Answer(shown, chance(sample.prompts), power.least_n(chance, guess, first=2))

    def _spqr(self, threshold: Threshold, sample: Sample, correlation: float) -> _Answer:
        others = self._others
        truth = min(threshold.bound + MARGIN, float(scoring.spqr(*others.limits, others.weights)))

        def chance(n: int) -> float:
            return power.spqr_power(
                n, truth, threshold.bound, correlation, others, threshold.confidence, clustered=sample.is_clustered
            )

        return _Answer(
            truth,
            chance(sample.prompts),
            power.least_n(chance, sample.prompts, precision=_PRECISION) if truth > threshold.bound else None,
        )

    @property
    def _formula(self) -> scoring.RobustnessFormula:
        return scoring.ROBUSTNESS[self._run.protocol.settings.score.robustness]

    @property
    def _harmful(self) -> float:
        """The share flagged before fine-tuning: measured, else that of the checkpoint that safety's case is reckoned for."""
        if self._known.harmful is not None:
            return self._known.harmful
        threshold = self._run.thresholds.for_measurement("safety")
        most = 1 - threshold.bound if threshold.direction == "min" else threshold.bound / 100
        return max(0.0, most - MARGIN)

    @property
    def _deviation(self) -> float:
        return DEVIATION if self._known.deviation is None else self._known.deviation

    @property
    def _quality_error(self) -> float | None:
        if self._known.distance_error is None or self._known.anchors is None:
            return None
        best, worst = self._known.anchors
        return self._known.distance_error / (worst - best) * (1 - 2 * self._run.protocol.settings.quality.eps)

    @cached_property
    def _others(self) -> Others:
        settings = self._run.protocol.settings
        return Others(
            adherence_error=self._deviation / self._samples["adherence"].prompts ** 0.5,
            quality_error=self._quality_error or 0.0,
            quality_most=1 - settings.quality.eps,
            formula=self._formula,
            weights=settings.score.weights,
        )


def together(said: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences from names and what is said of them: names of one axis of which the same is said share one."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, sentence in said:
        groups.setdefault((_axis(name), sentence), []).append(name)
    return [f"{', '.join(names) if len(names) <= _NAMED else label(names)} {sentence}" for (_, sentence), names in groups.items()]


def label(names: Sequence[str]) -> str:
    """Several cases of one axis, in few words."""
    axis = _axis(names[0])
    return names[0] if len(names) == 1 else f"{axis} ({len(names)} {'categories' if axis == 'safety' else 'variants'})"


def written(name: str, direction: str, value: float) -> str:
    """A value of a case, in its threshold's unit: three decimals of an axis, one of percent and points."""
    if direction == "min":
        return f"{value:.3f}"
    return f"{value:.1f}{_UNITS[_axis(name)]}" if _axis(name) in _UNITS else f"{value:.4g}"


def _written(name: str, threshold: Threshold, value: float) -> str:
    return written(name, threshold.direction, value)


def _prompts(n: int) -> str:
    return f"{n:,} prompts" if n > 1 else "1 prompt"


def _axis(name: str) -> str:
    return name.partition("[")[0]


def _of_more_than_one(prompts: Sequence[Prompt]) -> Sample:
    """The sample of benign prompts; of one prompt alone, its seeds are what is resampled."""
    found = Sample.of(prompts)
    return found if found.prompts > 1 else Sample(found.images, found.images)
