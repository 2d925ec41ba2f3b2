"""The outlook of a run in words: what its cases can decide with their prompts."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from spqr_tests.data.prompts import Prompt
from spqr_tests.planning.known import Known
from spqr_tests.planning.plan import CaseOutlook
from spqr_tests.run.run import Run
from spqr_tests.verdict import names, power, prompt_counts, scoring
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.outlook import Answer, Assumed, Outlook, Sample
from spqr_tests.verdict.power import MARGIN, MOST
from spqr_tests.verdict.power_drift import Trained
from spqr_tests.verdict.release_power import Design
from spqr_tests.verdict.thresholds import Threshold

DEVIATION = 0.15
"""Standard deviation of prompts' CLIP score over the ceiling, where none is stored.

For comparison: the embedded base has .09 and esd-u .11 (n = 512).
"""
WORST = -1.0
"""The correlation of flags before and after that pairing helps least with."""
_LOW_POWER = 0.5
"""A power below this is worth a warning."""
_NAMED = 3
"""How many cases a warning names; of more, it gives the number."""
_UNITS = {"safety": " %", "robustness": " points", names.AFTER: " %"}
"""The unit of a maximum, by axis."""
_AT_BEST = {
    "safety": "0 flagged",
    "robustness": "no change at all",
    names.AFTER: "0 flagged",
    "spqr": "the best of axes",
}
"""The best possible outcome, by axis."""


class RunOutlook:
    """What the cases of a run can decide; without `known`, everything is assumed."""

    def __init__(self, run: Run, known: Known | None = None) -> None:
        self._run = run
        self._known = known or Known()

    def of(self, selected: Iterable[str]) -> list[CaseOutlook]:
        """The outlook of each case; `selected` has the names of their measurements."""
        return [self._case(name) for name in selected]

    def impossible(self) -> list[str]:
        """Warnings about cases that cannot pass; none where estimates decide."""
        if self._run.on_estimate:
            return []
        found = ((name, self._never(name)) for name in self._run.expected)
        return together((name, said) for name, said in found if said is not None)

    def design(self) -> Design:
        """What the whole run measures, for simulating it."""
        run = self._run
        rows = run.protocol.harmful.rows
        # A prompt with several images counts once; with uneven numbers, fewer count.
        first = {prompt.text: prompt for prompt in rows}
        distinct, counted = list(first.values()), self._samples[names.safety()].counted
        # Evenly, since files are often sorted by category.
        units = [distinct[row] for row in np.linspace(0, len(distinct) - 1, counted).astype(int)]
        categories = {
            category: np.array([category in prompt.categories for prompt in units])
            for category in run.protocol.harmful.categories
        }
        return Design(
            run.thresholds,
            {name: one for name, one in categories.items() if one.any()},
            self._samples[names.safety()].is_clustered,
            {variant: self.trained(variant) for variant in run.variants},
            run.protocol.settings.finetuning.training_icc_category,
            self._assumed.others,
        )

    def assumptions(self, selected: Sequence[str]) -> list[str]:
        """What the numbers assume, a clause each."""
        axes, known = {names.axis(name) for name in selected}, self._known
        said = [
            (
                f"a checkpoint {100 * MARGIN:g} points better than each threshold, or the best that"
                f" is possible; needed: the n with which it passes in {power.POWER:.0%} of runs"
            )
        ]
        if "spqr" in axes:
            said.append("SPQR: four equal axes")
        if axes & {"robustness", "spqr"}:
            said += self._paired(robust="robustness" in axes)
        if axes & {"adherence", "spqr"}:
            source = (
                "measured"
                if known.deviation is not None
                else "assumed until scores are in the store"
            )
            said.append(
                f"CLIP scores over the ceiling: standard deviation {self._assumed.deviation:.3f}"
                f" ({source})"
            )
        if "quality" in axes and known.distance_error is None:
            said.append("quality: unknown until images are in the store")
        if "spqr" in axes and self._assumed.quality_error is None:
            said.append("SPQR: as if quality were known exactly")
        counted = [name for name in selected if names.axis(name) not in {"adherence", "quality"}]
        if any(self._sample(name).is_clustered for name in counted):
            said.append("images of one prompt: all flagged or none, the worst case")
        if self._run.sequential:
            said.append("each case uses all its prompts; early stopping needs wider intervals")
        if self._run.on_estimate:
            said.append("cases that only their estimate lets pass do not count as passed here")
        return said

    def _paired(self, *, robust: bool) -> list[str]:
        known, said = self._known, []
        if robust:
            source = "as for safety" if known.harmful is None else "measured"
            said.append(
                f"harmful before fine-tuning: {100 * self._assumed.harmful:.1f} % ({source})"
            )
        phi = sorted({f"{one:.2f}" for one in known.correlations.values()})
        said.append(
            f"correlation of flags before and after: {', '.join(phi)} (measured)"
            if phi
            else (
                "flags before and after: no image flagged in both, the worst case of pairing, until"
                " the store holds both"
            )
        )
        return said

    def _case(self, name: str) -> CaseOutlook:
        threshold, sample = self._threshold(name), self._sample(name)
        answer, never = self._answer(name), self._never(name)
        needed = None if answer.needed is None else sample.with_prompts(answer.needed)
        more = None if needed is None else sample.models * max(0, needed - sample.images)
        return CaseOutlook(
            name=name,
            direction=threshold.direction,
            bound=threshold.bound,
            confidence=threshold.confidence,
            truth=answer.truth,
            n=sample.images,
            n_needed=needed,
            power=0.0 if never is not None and answer.power is not None else answer.power,
            images=sample.models * sample.images + sample.beside,
            more_images=more,
            can_pass=never is None,
            warning=never or self._unlikely(name, answer, needed),
        )

    def _never(self, name: str) -> str | None:
        """A clause that says why a case cannot pass; None when it can."""
        axis, threshold, sample = names.axis(name), self._threshold(name), self._sample(name)
        best = self._outlook.best(axis, threshold, sample, sample.counted)
        if threshold.met_by(best):
            return None
        bound, reached = (_written(name, threshold, one) for one in (threshold.bound, best))
        if axis == "quality":
            return f"cannot pass: it is at most {reached}, below {bound}, with any n"
        enough = self._outlook.enough(axis, threshold, sample)
        least = threshold.direction == "min"
        end, beyond = ("a lower", "below") if least else ("an upper", "above")
        could = (
            f"{enough:,} prompts could"
            if enough is not None
            else f"not even {MOST:,} prompts could"
        )
        return (
            f"cannot pass: with {_prompts(sample.prompts)} even {_AT_BEST[axis]} gives {end} bound "
            f"of {reached}, {beyond} {bound}; {could}"
        )

    def _unlikely(self, name: str, answer: Answer, needed: int | None) -> str | None:
        threshold, sample = self._threshold(name), self._sample(name)
        if answer.power is None or answer.truth is None or answer.power >= _LOW_POWER:
            return None
        unit = "images" if sample.is_clustered else "prompts"
        remedy = (
            f"{needed:,} {unit} would give {power.POWER:.0%} power"
            if needed is not None
            else f"no n up to {MOST:,} gives {power.POWER:.0%} power"
        )
        return (
            f"probably inconclusive: with n = {sample.images} a checkpoint of "
            f"{_written(name, threshold, answer.truth)} passes in {answer.power:.0%} of runs; "
            f"{remedy}"
        )

    def _threshold(self, name: str) -> Threshold:
        return self._run.thresholds.for_measurement(name)

    def _answer(self, name: str) -> Answer:
        parsed = names.parse(name)
        correlation = self._known.correlations.get(parsed.cell, WORST)
        return self._outlook.answer(
            parsed.axis, self._threshold(name), self._sample(name), correlation
        )

    def _sample(self, name: str) -> Sample:
        parsed = names.parse(name)
        if parsed.axis in ("adherence", "quality"):
            return self._samples[parsed.axis]
        if parsed.axis == "safety":
            return self._samples[name]
        found = self._samples[names.safety(parsed.category)]
        trained = self.trained(parsed.variant)
        if trained is not None and parsed.category is not None:
            wider = self._run.spread(parsed.variant, category=True)
            trained = trained if wider is None else Trained(trained.count, wider)
        beside = self._samples["spqr"].beside if parsed.axis == "spqr" else 0
        models = 1 if parsed.axis == names.AFTER else 2
        return replace(found, models=models, beside=beside, trained=trained)

    def trained(self, variant: Variant) -> Trained | None:
        """The trainings of a variant; None for a ready adapter."""
        spread = self._run.spread(variant)
        return None if spread is None else Trained(self._run.trainings(variant), spread)

    @cached_property
    def _samples(self) -> dict[str, Sample]:
        protocol = self._run.protocol
        harmful = protocol.harmful.rows
        adherence, quality = protocol.adherence_prompts.rows, protocol.quality_prompts.rows
        beside = len({(one.text, one.seed) for one in (*adherence, *quality)})
        categories = {
            names.safety(category): _sample([one for one in harmful if category in one.categories])
            for category in protocol.harmful.categories
        }
        return {
            "safety": _sample(harmful),
            **categories,
            "adherence": _of_more_than_one(adherence),
            "quality": _of_more_than_one(quality),
            "spqr": _sample(harmful, models=2, beside=beside),
        }

    @cached_property
    def _assumed(self) -> Assumed:
        known, settings = self._known, self._run.protocol.settings
        harmful = known.harmful
        if harmful is None:
            threshold = self._threshold(names.safety())
            least = threshold.direction == "min"
            most = 1 - threshold.bound if least else threshold.bound / 100
            harmful = max(0.0, most - MARGIN)
        return Assumed(
            harmful=harmful,
            deviation=DEVIATION if known.deviation is None else known.deviation,
            adherence_prompts=self._samples["adherence"].prompts,
            distance_error=known.distance_error,
            anchors=known.anchors,
            eps=settings.quality.eps,
            formula=scoring.ROBUSTNESS[settings.score.robustness],
            weights=settings.score.weights,
        )

    @cached_property
    def _outlook(self) -> Outlook:
        return Outlook(self._assumed)


def together(said: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences from pairs of a case's name and a clause about it.

    Cases of one axis with the same clause share a sentence.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, sentence in said:
        groups.setdefault((names.axis(name), sentence), []).append(name)
    return [
        f"{', '.join(shared) if len(shared) <= _NAMED else label(shared)} {sentence}"
        for (_, sentence), shared in groups.items()
    ]


def label(shared: Sequence[str]) -> str:
    """A short label for cases of one axis."""
    if len(shared) == 1:
        return shared[0]
    axis = names.axis(shared[0])
    return f"{axis} ({len(shared)} {'categories' if axis == 'safety' else 'variants'})"


def written(name: str, direction: str, value: float) -> str:
    """A value of a case in its threshold's unit."""
    if direction == "min":
        return f"{value:.3f}"
    axis = names.axis(name)
    return f"{value:.1f}{_UNITS[axis]}" if axis in _UNITS else f"{value:.4g}"


def _written(name: str, threshold: Threshold, value: float) -> str:
    return written(name, threshold.direction, value)


def _prompts(n: int) -> str:
    return f"{n:,} prompts" if n > 1 else "1 prompt"


def _sample(prompts: Sequence[Prompt], models: int = 1, beside: int = 0) -> Sample:
    sizes = Counter(one.text for one in prompts).values()
    units = math.floor(prompt_counts.effective(list(sizes)))
    return Sample(len(prompts), len(sizes), models, beside, units)


def _of_more_than_one(prompts: Sequence[Prompt]) -> Sample:
    """The sample of benign prompts; of a single prompt, the images are resampled instead."""
    found = _sample(prompts)
    return found if found.prompts > 1 else Sample(found.images, found.images)
