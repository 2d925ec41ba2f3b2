"""The run: everything the options decided, validated before the first case is collected."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from spqr_tests.checkpoint.adapter import PROFILE, Adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.generation.generations import Progress
from spqr_tests.run.cut_prompts import Cut
from spqr_tests.run.protocols import LoadedProtocol
from spqr_tests.run.reference import Reference
from spqr_tests.settings.protocol import MOST_DRAWS
from spqr_tests.store import looks
from spqr_tests.store.cost import Cost
from spqr_tests.store.looks import Look
from spqr_tests.store.store import Store
from spqr_tests.verdict import intervals, names, sequential
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.thresholds import ProtocolThresholds
from spqr_tests.verdict.trainings import Spread

_USUAL = 0.95


@dataclass(frozen=True)
class Run:
    """One session's model, protocol, thresholds, selection, device and store."""

    checkpoint: Checkpoint
    fingerprint: str
    protocol: LoadedProtocol
    thresholds: ProtocolThresholds
    thresholds_path: Path
    thresholds_digest: str
    """SHA-256 (hex) of that file."""
    profiles: tuple[str, ...]
    scenarios: tuple[str, ...]
    adapters: Mapping[str, Adapter]
    """Variants that are given instead of trained, by name."""
    notes: tuple[str, ...]
    """A sentence for each scenario that is left out although no option names it."""
    limit: int | None
    report_folder: Path | None
    report_images: int
    """How many images its page may hold."""
    device: str
    store: Store
    progress: Progress
    on_estimate: bool = False
    """Whether a case that its interval leaves undecided is decided by its value."""
    partial: bool = False
    """Whether a part of the measurements is wanted, so that those decide the exit code."""
    sequential: bool = False
    """Whether the generation for a case ends once its interval decides it."""
    baseline: Reference | None = None
    """The report that this version is compared with."""
    snapshots: Reference | None = None
    """The snapshots that this version is compared with, or that it writes."""
    snapshots_unread: str | None = None
    """The option that keeps existing snapshots from being compared."""
    earlier_looks: tuple[Look, ...] = ()
    """Complete runs that asked the same of this model with other prompts, seeds or trainings."""
    cut: tuple[Cut, ...] = ()
    """Prompts of which an encoder does not read everything; empty on a worker."""
    cost: Cost = field(default_factory=Cost)

    def confidence(self, name: str) -> float:
        """The confidence of a measurement's two-sided interval: its threshold's."""
        return self.thresholds.for_measurement(name).confidence

    @cached_property
    def draws(self) -> int:
        """The number of draws of every interval.

        The protocol states it for a confidence of 95 %. For a higher one there are so many more
        that as many are beyond each bound, up to `MOST_DRAWS`.
        """
        strictest = max((self.confidence(name) for name in self.expected), default=_USUAL)
        more = max(1.0, (1 - _USUAL) / (1 - strictest))
        scaled = math.ceil(round(self.protocol.settings.score.draws * more, 6))
        # One number for every confidence that Holm may try, so that its intervals nest.
        family = max(1, len(self.protocol.harmful.categories))
        widest = 1 - (1 - strictest) / family
        widest = sequential.strictest(widest) if self.sequential else widest
        return min(MOST_DRAWS, max(scaled, intervals.enough_draws(widest)))

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All variants: the fine-tuned ones in the protocol's order, then the adapters."""
        return (*self.trained, *(Variant(PROFILE, name) for name in self.adapters))

    def trainings(self, variant: Variant) -> int:
        """How often a variant is trained; a ready adapter is one training of somebody else."""
        if variant not in self.trained:
            return 1
        settings = self.protocol.settings
        own = settings.profiles[variant.profile].replicates
        return settings.finetuning.replicates if own is None else own

    def spread(self, variant: Variant, *, category: bool = False) -> Spread | None:
        """What the protocol states of the spread between trainings, of all prompts or a category's.

        None for a ready adapter, which is the one training that is released.
        """
        if variant not in self.trained:
            return None
        settings = self.protocol.settings.finetuning
        own = self.protocol.settings.profiles[variant.profile].training_icc
        icc = settings.training_icc if own is None else own
        spread = Spread(icc, settings.training_icc_trainings - 1)
        return spread.times(settings.training_icc_category) if category else spread

    @property
    def trained(self) -> tuple[Variant, ...]:
        """The variants that are fine-tuned, in the protocol's order."""
        return tuple(
            variant
            for variant in self.protocol.settings.variants
            if variant.profile in self.profiles and variant.scenario in self.scenarios
        )

    @property
    def question(self) -> str:
        """The store's key of the looks at this question."""
        return looks.key(self.fingerprint, self.protocol.question, repr(self.thresholds))

    @property
    def curves(self) -> Mapping[Variant, tuple[int, ...]]:
        """The variants that are kept at several steps of their training, with those steps."""
        profiles = self.protocol.settings.profiles
        found = {variant: profiles[variant.profile].curve for variant in self.trained}
        return {variant: curve for variant, curve in found.items() if curve}

    @property
    def until(self) -> int | None:
        """The last step of a curve that is decided; None where curves are only reported."""
        return None if self.thresholds.curve is None else self.thresholds.curve.until

    @property
    def doses(self) -> tuple[Variant, ...]:
        """Those whose curve is decided; without a threshold it is only reported."""
        return tuple(self.curves) if self.thresholds.curve else ()

    @property
    def headline(self) -> Variant | None:
        """The variant whose SPQR is the score; None when the options leave it out."""
        score = self.protocol.settings.score
        named = Variant(score.headline_profile, score.headline_scenario)
        return named if named in self.trained else None

    @property
    def expected(self) -> tuple[str, ...]:
        """The names of the measurements that a complete run makes."""
        gates, categories = self.thresholds.gates, self.protocol.harmful.categories
        return names.expected(categories, self.variants, gates, self.doses)
