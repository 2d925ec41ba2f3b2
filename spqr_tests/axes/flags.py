"""Flags of the harmful prompts' images, of the checkpoint and of each variant."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spqr_tests.axes.estimate import generator
from spqr_tests.axes.uptake import Uptakes
from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import BrokenModelError
from spqr_tests.generation import generations
from spqr_tests.generation.generations import Generation, ImageSource, Progress
from spqr_tests.generation.variants import Variants
from spqr_tests.judging import benign_check, judging
from spqr_tests.judging.judging import Flags, Judged
from spqr_tests.run.run import Run
from spqr_tests.verdict import names
from spqr_tests.verdict.correction import Accuracy, Correction
from spqr_tests.verdict.names import CHECKPOINT, Variant


@dataclass(frozen=True)
class JudgedImages:
    """Images of harmful prompts of one model, and what the judges say of them."""

    variant: Variant | None
    """None for the checkpoint."""
    training: int
    """Of the variant, from 0."""
    steps: int | None
    """Of the training, where the variant was kept before its end."""
    ood: bool
    """Whether the prompts are the out-of-distribution ones."""
    prompts: Sequence[Prompt]
    """Of the images; equal prompts share one image, and each is there."""
    images: Sequence[Generation]
    judged: Judged


@dataclass
class HarmfulFlags:
    """The judges' flags of the harmful prompts' images; each variant's flags are made once."""

    run: Run
    variants: Variants
    _known: dict[tuple[Variant | None, int, bool], Flags] = field(default_factory=dict)
    _chunks: dict[tuple[Variant | None, int, tuple[Prompt, ...]], Flags] = field(
        default_factory=dict
    )
    _sources: dict[tuple[Variant, int, int | None], ImageSource] = field(default_factory=dict)
    _judged_images: list[JudgedImages] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run) -> "HarmfulFlags":
        """The flags of a run; benign sets are checked before they are trained on."""
        protocol = run.protocol

        def admit(benign: BenignSet) -> None:
            threat, harmful = protocol.settings.threat, protocol.harmful
            benign_check.check(
                run.store, threat, benign, harmful, protocol.judges, run.cost, run.progress
            )

        variants = Variants(
            run.checkpoint,
            run.fingerprint,
            protocol.settings,
            run.device,
            run.store,
            run.cost,
            run.progress,
            admit,
        )
        return cls(run, variants)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The harmful prompts of this run, with the same seeds before and after fine-tuning."""
        return self.run.protocol.harmful.rows

    @property
    def ood_prompts(self) -> tuple[Prompt, ...]:
        """The out-of-distribution harmful prompts; empty if the protocol has none."""
        ood = self.run.protocol.ood
        return () if ood is None else ood.rows

    def flags(self, variant: Variant | None = None, training: int = 0) -> Flags:
        """The flags of the checkpoint itself (None), or of one training of a variant, from 0."""
        return self._flags(variant, training, self.prompts, ood=False)

    def trainings(self, variant: Variant) -> tuple[Flags, ...]:
        """The flags of every training of a variant."""
        count = self.run.trainings(variant)
        return tuple(self.flags(variant, training) for training in range(count))

    def at_step(self, variant: Variant, steps: int) -> Flags:
        """The flags of a variant after so many steps of its first training."""
        return self._judged(self.prompts, variant, 0, self.run.progress, steps=steps)

    def ood_flags(self, variant: Variant | None = None) -> Flags | None:
        """The same for `ood_prompts`; None if there are none."""
        return self._flags(variant, 0, self.ood_prompts, ood=True) if self.ood_prompts else None

    def seen(self, variant: Variant | None) -> list[tuple[Sequence[Prompt], Flags]]:
        """The prompts and flags, of `variant` and its first training, that this process has made.

        A sequential run has them in parts.
        """
        whole = self._known.get((variant, 0, False))
        if whole is not None:
            return [(self.prompts, whole)]
        return [
            (prompts, found)
            for (one, training, prompts), found in self._chunks.items()
            if one == variant and training == 0
        ]

    @cached_property
    def uptakes(self) -> Uptakes:
        """What each training did, which says whether its flags are evidence."""
        return Uptakes(self.run, self.variants.source, self.source)

    def images(self, variant: Variant | None = None, training: int = 0) -> list[Generation]:
        """The images that `flags` judges."""
        run, source = self.run, self.source(variant, training)
        label = _label(variant, training)
        return generations.generate(run.store, source, self.prompts, run.cost, run.progress, label)

    @cached_property
    def correction(self) -> Correction:
        """The correction for the judges' errors; none where the protocol states no accuracy."""
        return self.correction_of(self.run.draws)

    def correction_of(self, size: int) -> Correction:
        """The same with so many draws of the accuracy."""
        known = self.run.protocol.settings.correction
        accuracy = None
        if known is not None:
            accuracy = Accuracy(
                known.sensitivity, known.sensitivity_n, known.specificity, known.specificity_n
            )
        return Correction(accuracy, size, generator("accuracy of the judges"))

    def some(
        self,
        prompts: Sequence[Prompt],
        variant: Variant | None,
        training: int,
        before: int,
        planned: int,
    ) -> Flags:
        """The flags of some of the `planned` prompts; `before` prompts were done earlier."""
        key = variant, training, tuple(prompts)
        if key not in self._chunks:

            def progress(label: str, done: int, total: int) -> None:
                del total
                self.run.progress(f"{label} (at most)", before + done, planned)

            self._chunks[key] = self._judged(prompts, variant, training, progress)
        return self._chunks[key]

    def newly_judged(self) -> list[JudgedImages]:
        """What this process has had judged, or found judged, since it was last asked."""
        found, self._judged_images = self._judged_images, []
        return found

    def _flags(
        self, variant: Variant | None, training: int, prompts: Sequence[Prompt], *, ood: bool
    ) -> Flags:
        key = variant, training, ood
        if key not in self._known:
            self._known[key] = self._judged(prompts, variant, training, self.run.progress, ood=ood)
        return self._known[key]

    def _judged(
        self,
        prompts: Sequence[Prompt],
        variant: Variant | None,
        training: int,
        progress: Progress,
        *,
        ood: bool = False,
        steps: int | None = None,
    ) -> Flags:
        run = self.run
        label = _label(variant, training, steps) + (", out of distribution" if ood else "")
        try:
            source = self.source(variant, training, steps)
            images = generations.generate(run.store, source, prompts, run.cost, progress, label)
        except BrokenModelError:
            if variant is None or self.uptakes.of_training(variant, training).not_evidence is None:
                raise
            # A destroyed model decides nothing; what it does not generate counts as harmful.
            every = np.ones(len(prompts), dtype=bool)
            judges = (judge.describe().name for judge in run.protocol.judges)
            return Flags(every, dict.fromkeys(judges, every))
        judged = judging.judge(run.store, run.protocol.judges, images, run.cost, progress, label)
        if run.report_folder is not None:
            self._judged_images.append(
                JudgedImages(variant, training, steps, ood, prompts, images, judged)
            )
        return judged.flags

    def source(
        self, variant: Variant | None, training: int = 0, steps: int | None = None
    ) -> ImageSource:
        """Images of the checkpoint (None) or of a training, which is trained first if need be."""
        if variant is None:
            return self.variants.source()
        key = variant, training, steps
        if key not in self._sources:
            self._sources[key] = self._made(*key)
        return self._sources[key]

    def _made(self, variant: Variant, training: int, steps: int | None) -> ImageSource:
        if variant.profile == PROFILE and variant.scenario in self.run.adapters:
            return self.variants.adapted(self.run.adapters[variant.scenario])
        benign = self.run.protocol.scenarios[variant.scenario]
        return self.variants.fine_tuned(variant, benign, training, steps=steps)


def _label(variant: Variant | None, training: int = 0, steps: int | None = None) -> str:
    if variant is None:
        return CHECKPOINT
    return names.training(variant, training) if steps is None else names.at_step(variant, steps)
