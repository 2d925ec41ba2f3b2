"""What each fine-tune did: the loss on held-out pictures, and P and Q after it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes import adherence, quality
from spqr_tests.axes.estimate import generator
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import BrokenModelError
from spqr_tests.generation import generations, held_out
from spqr_tests.generation.generations import Generation, ImageSource
from spqr_tests.metrics.clip_score import clip_scores
from spqr_tests.run.run import Run
from spqr_tests.settings.uptake import TookSettings
from spqr_tests.verdict import intervals, scoring, uptake
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.verdict.names import CHECKPOINT, Variant
from spqr_tests.verdict.uptake import Kept, Uptake


class Uptakes:
    """What each fine-tune of a run did, measured once.

    `own` has the images of the checkpoint, `source` those of a variant, which it trains first.
    """

    def __init__(
        self, run: Run, own: Callable[[], ImageSource], source: Callable[[Variant], ImageSource]
    ) -> None:
        self._run = run
        self._own = own
        self._source = source
        self._known: dict[Variant, Uptake] = {}

    def of(self, variant: Variant) -> Uptake:
        """What the fine-tune did; nothing is known of a ready adapter."""
        if variant not in self._known:
            trained = variant in self._run.trained
            self._known[variant] = self._measured(variant) if trained else Uptake()
        return self._known[variant]

    def _measured(self, variant: Variant) -> Uptake:
        run, settings = self._run, self._run.protocol.settings.finetuning
        own, pictures = self._own(), run.protocol.held_out.get(variant.scenario)
        sets = prompts_of(run)
        # First what is the checkpoint's own: that it is broken breaks the run.
        before = None if pictures is None else self._losses(own, pictures)
        images = [self._images(own, prompts, CHECKPOINT) for prompts in sets]
        found = Uptake()
        try:
            source = self._source(variant)
            if before is not None and pictures is not None and len(before) > 1:
                unseen = not set(run.protocol.scenarios[variant.scenario].pictures) & set(
                    pictures.pictures
                )
                after = self._losses(source, pictures)
                found = replace(found, loss=uptake.learned(before, after, held_out=unseen))
            if sets:
                new = [self._images(source, prompts, variant.label) for prompts in sets]
                found = replace(
                    found,
                    adherence=self._adherence(images[0], new[0], variant.label),
                    quality=self._quality(images[1], new[1], variant.label),
                )
        except BrokenModelError as error:
            return replace(found, not_evidence=_destroyed(error))
        return replace(found, not_evidence=_why(found, settings.took))

    @property
    def _size(self) -> int:
        return self._run.protocol.settings.score.draws

    def _losses(self, source: ImageSource, pictures: BenignSet) -> NDArray[np.float64]:
        settings = self._run.protocol.settings.finetuning
        return held_out.losses(self._run.store, source, pictures, settings)

    def _images(
        self, source: ImageSource, prompts: Sequence[Prompt], label: str
    ) -> list[Generation]:
        run, label = self._run, f"{label}, benign prompts"
        return generations.generate(run.store, source, prompts, run.cost, run.progress, label)

    def _adherence(self, old: list[Generation], new: list[Generation], label: str) -> Kept:
        encoder, settings = (
            self._run.protocol.adherence_encoder,
            self._run.protocol.settings.adherence,
        )
        before, after = (clip_scores(self._run.store, encoder, one) for one in (old, new))
        clusters = adherence.more_than_one([one.prompt.text for one in new])

        def scored(means: NDArray[np.float64]) -> NDArray[np.float64]:
            return scoring.adherence(means, settings.ceiling)

        def drawn(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
            return intervals.mean_draws(values, self._size, generator(f"{label} {what}"), clusters)

        values = scored(np.array([before.mean(), after.mean()])).tolist()
        drift = scored(before.mean() + drawn(after - before, "drift of P")) - values[0]
        # Of a score of 0 or below nothing can be lost.
        share = (1.0, Interval(1, 1))
        if before.mean() > 0:
            share = uptake.ratio(after, before, clusters)
        own = scored(drawn(after, "P"))
        return uptake.kept((values[0], values[1]), own, drift, share, len(new))

    def _quality(self, old: list[Generation], new: list[Generation], label: str) -> Kept:
        (before, first), (after, second) = (
            quality.scores_of(self._run, one, f"{label} Q {when}", self._size)
            for one, when in ((old, "before"), (new, "after"))
        )
        part = intervals.percentile(second / first, uptake.CONFIDENCE, include=after / before)
        share = after / before, part
        return uptake.kept((before, after), second, second - first, share, len(new))


def prompts_of(run: Run) -> tuple[tuple[Prompt, ...], ...]:
    """The benign prompts, of adherence and of quality, for which variants generate images too."""
    after = run.protocol.settings.finetuning.after
    if after is None:
        return ()
    sets = run.protocol.adherence_prompts, run.protocol.quality_prompts
    return tuple(one.first(after).rows for one in sets)


def marked(measurement: Measurement, found: Uptake, *, reported: bool = False) -> Measurement:
    """The measurement of a variant with what its fine-tune did; `reported` adds all of it."""
    context = measurement.context | ({"uptake": found.to_dict()} if reported else {})
    return replace(measurement, not_evidence=found.not_evidence, context=context)


def _taught(found: Uptake, least: float) -> str | None:
    if found.loss is None:
        return "its benign set has one picture, whose loss cannot show what was taught"
    return uptake.taught(found.loss, least)


def _destroyed(error: BrokenModelError) -> str:
    said = str(error).rstrip(".")
    return (
        f"the fine-tune destroyed the model: {said}; lower the learning rate or train for fewer"
        " steps"
    )


def _why(found: Uptake, took: TookSettings | None) -> str | None:
    """The first bound that is not shown to be met, in words."""
    if took is None:
        return None
    # What was destroyed has learned nothing either, and that is what a reader must know first.
    said = [
        uptake.left("P", found.adherence, took.least_adherence)
        if found.adherence is not None and took.least_adherence is not None
        else None,
        uptake.left("Q", found.quality, took.least_quality)
        if found.quality is not None and took.least_quality is not None
        else None,
        None if took.least_gain is None else _taught(found, took.least_gain),
    ]
    return next((one for one in said if one is not None), None)
