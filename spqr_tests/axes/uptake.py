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
from spqr_tests.run.run import Run
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.settings.uptake import TookSettings
from spqr_tests.verdict import intervals, names, scoring, uptake
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.verdict.names import CHECKPOINT, Variant
from spqr_tests.verdict.uptake import Kept, Uptake

_NO_PROMPT_HAS_IT = "the word that it learned is in no harmful prompt, so their images are the same"


class Uptakes:
    """What each training of a run did, measured once.

    `own` has the images of the checkpoint, `source` those of one training of a variant, by its
    number from 0, which it trains first.
    """

    def __init__(
        self,
        run: Run,
        own: Callable[[], ImageSource],
        source: Callable[[Variant, int], ImageSource],
    ) -> None:
        self._run = run
        self._own = own
        self._source = source
        self._known: dict[tuple[Variant, int], Uptake] = {}

    def of(self, variant: Variant) -> tuple[Uptake, ...]:
        """What each training of the variant did; nothing is known of a ready adapter."""
        return tuple(self.of_training(variant, one) for one in range(self._run.trainings(variant)))

    def of_training(self, variant: Variant, training: int) -> Uptake:
        """What one training did, by its number from 0."""
        key = variant, training
        if key not in self._known:
            self._known[key] = self._found(variant, training)
        return self._known[key]

    def _found(self, variant: Variant, training: int) -> Uptake:
        if variant not in self._run.trained:
            return Uptake()
        inversion = self._run.protocol.settings.profiles[variant.profile].inversion
        if inversion is not None:
            # Prompts without the word, and pictures with captions without it, are to this model
            # what they are to the checkpoint: all that is measured here is the same before and
            # after, whatever the word has learned.
            texts = (prompt.text for prompt in self._run.protocol.harmful.rows)
            has_it = any(inversion.placeholder in text for text in texts)
            return Uptake(not_evidence=None if has_it else _NO_PROMPT_HAS_IT)
        return self._measured(variant, training)

    def _measured(self, variant: Variant, training: int) -> Uptake:
        run, settings = self._run, self._run.protocol.settings.finetuning
        own, pictures = self._own(), run.protocol.held_out.get(variant.scenario)
        profile = run.protocol.settings.profiles[variant.profile]
        sets, label = prompts_of(run, variant), names.training(variant, training)
        # First what is the checkpoint's own: that it is broken breaks the run.
        before = None if pictures is None else self._losses(own, pictures, profile)
        images = [self._images(own, prompts, CHECKPOINT) for prompts in sets]
        found = Uptake()
        try:
            source = self._source(variant, training)
            if before is not None and pictures is not None and len(before) > 1:
                unseen = not set(run.protocol.scenarios[variant.scenario].pictures) & set(
                    pictures.pictures
                )
                after = self._losses(source, pictures, profile)
                found = replace(found, loss=uptake.learned(before, after, held_out=unseen))
            if sets:
                new = [self._images(source, prompts, label) for prompts in sets]
                found = replace(
                    found,
                    adherence=self._adherence(images[0], new[0], label),
                    quality=self._quality(images[1], new[1], label),
                )
        except BrokenModelError as error:
            return replace(found, not_evidence=_destroyed(error))
        return replace(found, not_evidence=_why(found, settings.took))

    @property
    def _size(self) -> int:
        return self._run.draws

    def _losses(
        self, source: ImageSource, pictures: BenignSet, profile: ProfileSettings
    ) -> NDArray[np.float64]:
        settings = self._run.protocol.settings.finetuning
        with self._run.cost.during("metrics"):
            return held_out.losses(self._run.store, source, pictures, profile, settings)

    def _images(
        self, source: ImageSource, prompts: Sequence[Prompt], label: str
    ) -> list[Generation]:
        run, label = self._run, f"{label}, benign prompts"
        return generations.generate(run.store, source, prompts, run.cost, run.progress, label)

    def _adherence(self, old: list[Generation], new: list[Generation], label: str) -> Kept:
        settings = self._run.protocol.settings.adherence
        before, after = (adherence.scores_of(self._run, one) for one in (old, new))
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


def prompts_of(run: Run, variant: Variant) -> tuple[tuple[Prompt, ...], ...]:
    """The benign prompts, of adherence and of quality, for which the variant generates images too.

    None for a ready adapter, and for a textual inversion, whose images of them are the same.
    """
    settings = run.protocol.settings
    after = settings.finetuning.after
    if after is None or variant not in run.trained:
        return ()
    if settings.profiles[variant.profile].inversion is not None:
        return ()
    sets = run.protocol.adherence_prompts, run.protocol.quality_prompts
    return tuple(one.first(after).rows for one in sets)


def marked(
    measurement: Measurement, found: Sequence[Uptake], *, reported: bool = False
) -> Measurement:
    """The measurement of a variant with what its trainings did; `reported` adds all of it.

    A training that is no evidence goes before any other reason why the number decides nothing.
    """
    why = uptake.no_evidence(found) or measurement.not_evidence
    context = measurement.context
    if reported:
        context = context | {"uptakes": [one.to_dict() for one in found], "not_evidence": why}
    return replace(measurement, not_evidence=why, context=context)


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
