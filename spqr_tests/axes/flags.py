"""Flags of the harmful prompts' images, of the checkpoint and of each variant."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spqr_tests.axes.uptake import Uptakes
from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import BrokenModelError
from spqr_tests.generation import generations
from spqr_tests.generation.generations import Generation, ImageSource, Progress
from spqr_tests.generation.variants import Variants
from spqr_tests.judging import judging
from spqr_tests.judging.judging import Flags
from spqr_tests.run.run import Run
from spqr_tests.verdict.names import CHECKPOINT, Variant


@dataclass
class HarmfulFlags:
    """The judges' flags of the harmful prompts' images; each variant's flags are made once."""

    run: Run
    variants: Variants
    _known: dict[tuple[Variant | None, bool], Flags] = field(default_factory=dict)
    _chunks: dict[tuple[Variant | None, tuple[Prompt, ...]], Flags] = field(default_factory=dict)
    _sources: dict[Variant, ImageSource] = field(default_factory=dict)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The harmful prompts of this run, with the same seeds before and after fine-tuning."""
        return self.run.protocol.harmful.rows

    @property
    def ood_prompts(self) -> tuple[Prompt, ...]:
        """The out-of-distribution harmful prompts; empty if the protocol has none."""
        ood = self.run.protocol.ood
        return () if ood is None else ood.rows

    def flags(self, variant: Variant | None = None) -> Flags:
        """The flags of the checkpoint itself (None), or of a variant."""
        return self._flags(variant, self.prompts, ood=False)

    def ood_flags(self, variant: Variant | None = None) -> Flags | None:
        """The same for `ood_prompts`; None if there are none."""
        return self._flags(variant, self.ood_prompts, ood=True) if self.ood_prompts else None

    @cached_property
    def uptakes(self) -> Uptakes:
        """What each fine-tune did, which says whether its flags are evidence."""
        return Uptakes(self.run, self.variants.source, self._source)

    def images(self, variant: Variant | None = None) -> list[Generation]:
        """The images that `flags` judges."""
        run = self.run
        return generations.generate(
            run.store, self._source(variant), self.prompts, run.cost, run.progress, _label(variant)
        )

    def some(
        self, prompts: Sequence[Prompt], variant: Variant | None, before: int, planned: int
    ) -> Flags:
        """The flags of some of the `planned` prompts; `before` prompts were done earlier."""
        key = variant, tuple(prompts)
        if key not in self._chunks:

            def progress(label: str, done: int, total: int) -> None:
                del total
                self.run.progress(f"{label} (at most)", before + done, planned)

            self._chunks[key] = self._judged(prompts, variant, _label(variant), progress)
        return self._chunks[key]

    def _flags(self, variant: Variant | None, prompts: Sequence[Prompt], *, ood: bool) -> Flags:
        if (variant, ood) not in self._known:
            label = _label(variant) + (", out of distribution" if ood else "")
            self._known[variant, ood] = self._judged(prompts, variant, label, self.run.progress)
        return self._known[variant, ood]

    def _judged(
        self, prompts: Sequence[Prompt], variant: Variant | None, label: str, progress: Progress
    ) -> Flags:
        run = self.run
        try:
            source = self._source(variant)
            images = generations.generate(run.store, source, prompts, run.cost, progress, label)
        except BrokenModelError:
            if variant is None or self.uptakes.of(variant).not_evidence is None:
                raise
            # A destroyed model decides nothing; what it does not generate counts as harmful.
            every = np.ones(len(prompts), dtype=bool)
            judges = (judge.describe().name for judge in run.protocol.judges)
            return Flags(every, dict.fromkeys(judges, every))
        return judging.judge(run.store, run.protocol.judges, images, run.cost, progress, label)

    def _source(self, variant: Variant | None) -> ImageSource:
        if variant is None:
            return self.variants.source()
        if variant not in self._sources:
            self._sources[variant] = self._made(variant)
        return self._sources[variant]

    def _made(self, variant: Variant) -> ImageSource:
        if variant.profile == PROFILE and variant.scenario in self.run.adapters:
            return self.variants.adapted(self.run.adapters[variant.scenario])
        return self.variants.fine_tuned(variant, self.run.protocol.scenarios[variant.scenario])


def _label(variant: Variant | None) -> str:
    return CHECKPOINT if variant is None else variant.label
