"""Differences: a measurement minus an earlier version's.

They are paired prompt by prompt where the store also holds the earlier version's evidence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes import adherence, quality
from spqr_tests.axes.estimate import generator
from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations
from spqr_tests.generation.generations import Generation
from spqr_tests.generation.variants import Variants
from spqr_tests.run.reference import Kept
from spqr_tests.run.run import Run
from spqr_tests.verdict import comparison, names, pairing, scoring
from spqr_tests.verdict.comparison import Difference, Reading
from spqr_tests.verdict.correction import Correction
from spqr_tests.verdict.names import Variant, parse
from spqr_tests.verdict.pairing import Chance, FineTuned, Shift
from spqr_tests.versions.earlier_evidence import EarlierEvidence, Seen

_AGREE = 1e-5
"""How far a stored value may be from the kept one: snapshots round."""


@dataclass(frozen=True)
class Flagged:
    """An image that a judge flags in one version and not in the other, with the paths of both.

    The paths are relative to the store.
    """

    source: str
    """The prompt's row."""
    prompt: str | None
    """Its text, where that may be shown."""
    seed: int
    old: str
    new: str

    @property
    def named(self) -> str:
        """Row, text and seed in words."""
        said = (self.source, None if self.prompt is None else repr(self.prompt))
        return ", ".join([*(one for one in said if one), f"seed {self.seed}"])


@dataclass(frozen=True)
class Flips:
    """The images that are newly flagged, and those that no longer are."""

    newly_flagged: tuple[Flagged, ...]
    no_longer_flagged: tuple[Flagged, ...]


class Differences:
    """The differences to the earlier versions in a reference, with `size` draws each."""

    def __init__(self, run: Run, harmful: HarmfulFlags, variants: Variants, size: int) -> None:
        self._run = run
        self._harmful = harmful
        self._variants = variants
        self._size = size
        self._earlier: dict[str, EarlierEvidence] = {}
        self._shifts: dict[tuple[str, str], Shift | None] = {}
        self._tuned: dict[tuple[str, str | None, str], FineTuned | None] = {}
        accuracy = harmful.correction.accuracy
        self._correction = Correction(accuracy, size, generator("accuracy versions"))

    def of(self, name: str, kept: Kept, new: Reading) -> Difference:
        """The difference of the measurement `name`.

        It is paired where the store has all that this needs; otherwise it is taken from the two
        readings.
        """
        axis, subject = named = parse(name)
        paired: Difference | None = None
        if axis == "safety":
            paired = self._safety(subject, kept)
        elif axis == "adherence":
            shift = self._adherence(kept)
            paired = None if shift is None else shift.difference
        elif axis in ("robustness", names.AFTER, "spqr"):
            tuned = self._fine_tuned(named.variant, named.category, kept)
            if tuned is not None and axis == "robustness":
                paired = tuned.robustness
            elif tuned is not None and axis == names.AFTER:
                paired = tuned.safety_after
            elif tuned is not None:
                p, q = self._adherence(kept), self._quality(kept)
                weights = self._run.protocol.settings.score.weights
                paired = tuned.spqr(p, q, weights) if p and q else None
        # A version is compared with the numbers that were kept: by now the store may hold other
        # images of that checkpoint.
        if paired is None or abs(new.value - paired.value - kept.reading.value) > _AGREE:
            return comparison.unpaired(kept.reading, new)
        return paired

    def flips(self, name: str, kept: Kept) -> Flips | None:
        """The flags that changed: of S (all or a category's) or R (after the first training).

        None for other axes, and where the store lacks the earlier images.
        """
        axis, subject = named = parse(name)
        if axis not in ("safety", "robustness", names.AFTER):
            return None
        variant = None if axis == "safety" else named.variant
        old = self._old(kept, variant)
        if old is None:
            return None
        prompts, new, now = (
            self._harmful.prompts,
            self._harmful.images(variant),
            self._harmful.flags(variant).any,
        )
        rows = self._rows(subject if axis == "safety" else named.category or "")

        def listed(chosen: NDArray[np.bool_]) -> tuple[Flagged, ...]:
            return tuple(
                Flagged(
                    prompts[i].source,
                    prompts[i].shown,
                    prompts[i].seed,
                    *(self._run.store.named(one.path) for one in (old.images[i], new[i])),
                )
                for i in np.flatnonzero(chosen & rows).tolist()
            )

        return Flips(listed(now & ~old.flagged), listed(old.flagged & ~now))

    def _safety(self, category: str, kept: Kept) -> Difference | None:
        old = self._old(kept, None)
        if old is None:
            return None
        rows, name = self._rows(category), f"safety[{category}] versions"
        clusters = [
            prompt.text
            for prompt, chosen in zip(self._harmful.prompts, rows, strict=True)
            if chosen
        ]
        return pairing.safety(
            old.flagged[rows],
            self._harmful.flags().any[rows],
            self._size,
            generator(name),
            clusters,
            self._correction,
        )

    def _fine_tuned(self, variant: Variant, category: str | None, kept: Kept) -> FineTuned | None:
        key = kept.fingerprint, kept.adapter, names.cell(variant, category)
        if key not in self._tuned:
            self._tuned[key] = self._trained(variant, category, kept)
        return self._tuned[key]

    def _trained(self, variant: Variant, category: str | None, kept: Kept) -> FineTuned | None:
        run, harmful = self._run, self._harmful
        before = self._old(kept, None)
        after = [self._old(kept, variant, number) for number in range(run.trainings(variant))]
        seen = [one.flagged for one in after if one is not None]
        if before is None or len(seen) < len(after):
            return None
        rows = self._rows(category or "")
        old = before.flagged[rows], [one[rows] for one in seen]
        new = (
            harmful.flags().any[rows],
            [one.any[rows] for one in harmful.trainings(variant)],
        )
        label = names.cell(variant, category)
        texts = [
            prompt.text for prompt, chosen in zip(harmful.prompts, rows, strict=True) if chosen
        ]
        return pairing.fine_tuned(
            old,
            new,
            scoring.ROBUSTNESS[run.protocol.settings.score.robustness],
            Chance(run.spread(variant, category=not rows.all()), self._correction, self._size),
            generator(f"{label} versions"),
            texts,
        )

    def _adherence(self, kept: Kept) -> Shift | None:
        return self._shift(kept, "adherence", self._adherence_shift)

    def _quality(self, kept: Kept) -> Shift | None:
        return self._shift(kept, "quality", self._quality_shift)

    def _shift(
        self, kept: Kept, axis: str, make: Callable[[EarlierEvidence], Shift | None]
    ) -> Shift | None:
        key = kept.fingerprint, axis
        if key not in self._shifts:
            self._shifts[key] = make(self._of(kept))
        return self._shifts[key]

    def _adherence_shift(self, earlier: EarlierEvidence) -> Shift | None:
        run, prompts = self._run, adherence.prompts_of(self._run)
        both = self._both(earlier, prompts)
        if both is None:
            return None
        before, after = (adherence.scores_of(run, images) for images in both)
        ceiling = run.protocol.settings.adherence.ceiling
        clusters = adherence.more_than_one([prompt.text for prompt in prompts])

        def score(means: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(scoring.adherence(means, ceiling))

        return pairing.shift(
            before, after, score, self._size, generator("adherence versions"), clusters
        )

    def _quality_shift(self, earlier: EarlierEvidence) -> Shift | None:
        both = self._both(earlier, quality.prompts_of(self._run))
        if both is None:
            return None
        # A distance is not a mean over prompts: the two versions are treated as independent.
        (q_old, drawn_old), (q_new, drawn_new) = (
            quality.scores_of(self._run, images, f"quality {version}", self._size)
            for version, images in zip(("old", "new"), both, strict=True)
        )
        return Shift((q_old, q_new), (drawn_old, drawn_new))

    def _both(
        self, earlier: EarlierEvidence, prompts: Sequence[Prompt]
    ) -> tuple[list[Generation], list[Generation]] | None:
        """The images of benign prompts, of the earlier checkpoint and of this one.

        None where the store lacks any of the earlier ones.
        """
        run, old = self._run, earlier.images(prompts)
        if old is None:
            return None
        return old, generations.generate(
            run.store, self._variants.source(), prompts, run.cost, run.progress, "benign prompts"
        )

    def _old(self, kept: Kept, variant: Variant | None, training: int = 0) -> Seen | None:
        return self._of(kept).harmful(variant, training, kept.adapter)

    def _of(self, kept: Kept) -> EarlierEvidence:
        if kept.fingerprint not in self._earlier:
            self._earlier[kept.fingerprint] = EarlierEvidence(self._run, kept.fingerprint)
        return self._earlier[kept.fingerprint]

    def _rows(self, category: str) -> NDArray[np.bool_]:
        return np.array(
            [not category or category in prompt.categories for prompt in self._harmful.prompts]
        )
