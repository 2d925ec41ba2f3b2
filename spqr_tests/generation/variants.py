"""Variants: the checkpoint and its variants, each made once and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spqr_tests.checkpoint.adapter import Adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.data.pictures import BenignSet
from spqr_tests.generation import finetuning, objectives
from spqr_tests.generation.finetuning import Examples
from spqr_tests.generation.generations import ImageSource, Progress
from spqr_tests.generation.sampling import Sampler
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store import digest
from spqr_tests.store.computing import computing
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from spqr_tests.verdict.names import Variant


@dataclass(frozen=True)
class TrainedVariant:
    """One fine-tuned variant: its trained weights' file and the digest of its content."""

    label: str
    weights: Path
    content: str


class Variants:
    """The checkpoint under test, loaded when first needed, and its variants.

    `admit` is asked of a benign set before it is trained on, and raises for one that must not be.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        fingerprint: str,
        protocol: Protocol,
        device: str,
        store: Store,
        cost: Cost,
        progress: Progress,
        admit: Callable[[BenignSet], None],
    ) -> None:
        self._admit = admit
        self._checkpoint = checkpoint
        self._fingerprint = fingerprint
        self._protocol = protocol
        self._device = device
        self._store = store
        self._cost = cost
        self._progress = progress
        self._aligned: Sampler | None = None
        self._current: tuple[str, Sampler] | None = None
        self._encoded: tuple[str, Examples] | None = None

    def source(self) -> ImageSource:
        """Images of the checkpoint itself."""
        return ImageSource(self._fingerprint, self._device, self._protocol.sampler, self._sampler)

    def fine_tuned(self, variant: Variant, benign: BenignSet) -> ImageSource:
        """Images of a variant; it is fine-tuned first where the store lacks it."""
        # Also for a stored fine-tune: the protocol that made it may have checked less.
        self._admit(benign)
        return self._source_of(variant, benign)

    def adapted(self, adapter: Adapter) -> ImageSource:
        """Images of the checkpoint with a ready adapter on it."""
        settings = self._protocol.sampler
        return ImageSource(
            adapter.fingerprint, self._device, settings, lambda: self._with_adapter(adapter)
        )

    def stored(self, variant: Variant, benign: BenignSet) -> ImageSource | None:
        """Images of a variant where the store holds it; None where it would be trained first."""
        key = digest.of_json(self._recipe(variant.profile, benign))
        record = self._store.peek("finetunes", key)
        weights = self._store.path("finetunes", key, ".safetensors")
        if record is None or not weights.is_file() or digest.of_file(weights) != record["file"]:
            return None
        return self._source_of(variant, benign)

    def _source_of(self, variant: Variant, benign: BenignSet) -> ImageSource:
        trained = self.trained(variant, benign)
        settings = self._protocol.sampler
        return ImageSource(
            trained.content,
            self._device,
            settings,
            lambda: self._with_weights(trained, variant.profile),
        )

    def trained(self, variant: Variant, benign: BenignSet) -> TrainedVariant:
        """A variant, from the store or fine-tuned now; one worker makes it, the others wait."""
        profile, label = variant.profile, variant.label
        recipe = self._recipe(profile, benign)
        size = self._size
        key = digest.of_json(recipe)
        weights = self._store.path("finetunes", key, ".safetensors")

        def make() -> dict[str, object]:
            from safetensors.torch import save

            settings = self._protocol.profiles[profile]
            self._current = None  # another variant's denoiser would take memory that training needs
            with computing(self._device):
                tuned = finetuning.finetune(
                    self._sampler().pipeline,
                    self._checkpoint.backbone,
                    self._examples(benign, size),
                    settings,
                    self._protocol.finetuning,
                    size,
                    lambda done, steps: self._progress(f"fine-tuning {label}", done, steps),
                )
            self._store.write(weights, save(tuned.tensors))
            self._cost.finetuned += 1
            return {
                "file": digest.of_file(weights),
                "first_loss": tuned.first_loss,
                "last_loss": tuned.last_loss,
                "recipe": recipe,
                "steps": tuned.steps,
            }

        record = self._store.once("finetunes", key, make)
        if not weights.is_file() or digest.of_file(weights) != record["file"]:
            self._store.discard(self._store.path("finetunes", key, ".json"))
            record = self._store.once("finetunes", key, make)
        return TrainedVariant(label, weights, digest.of_json([self._fingerprint, record["file"]]))

    @property
    def _size(self) -> tuple[int, int]:
        numbers = self._protocol.sampler.numbers
        return numbers.height, numbers.width

    def _recipe(self, profile: str, benign: BenignSet) -> dict[str, object]:
        """Everything that decides what a fine-tune learns."""
        return {
            "benign": benign.digest,
            "checkpoint": self._fingerprint,
            "device": self._device.split(":")[0],
            "dtype": self._protocol.sampler.dtype,
            "optimizer": self._protocol.finetuning.model_dump(),
            "profile": self._protocol.profiles[profile].model_dump(),
            "revision": [finetuning.REVISION, objectives.REVISION],
            "size": list(self._size),
        }

    def _sampler(self) -> Sampler:
        if self._aligned is None:
            self._current = None  # an adapter's pipeline, or a variant of one that is gone
            self._aligned = self._loaded(self._checkpoint)
        return self._aligned

    def _loaded(self, checkpoint: Checkpoint) -> Sampler:
        pipeline = checkpoint.pipeline(self._device, self._protocol.sampler.dtype)
        return Sampler(pipeline, checkpoint.backbone, self._protocol.sampler)

    def _examples(self, benign: BenignSet, size: tuple[int, int]) -> Examples:
        # One set is kept at a time: it is what the next profile is trained on.
        if self._encoded is None or self._encoded[0] != benign.digest:
            self._encoded = None
            pipeline = self._sampler().pipeline
            batch = self._protocol.finetuning.batch
            self._encoded = (
                benign.digest,
                finetuning.encode(pipeline, self._checkpoint.backbone, benign, size, batch),
            )
        return self._encoded[1]

    def _with_weights(self, variant: TrainedVariant, profile: str) -> Sampler:
        # One variant is kept at a time: a second denoiser is all the memory that a card may have
        # left.
        if self._current is None or self._current[0] != variant.content:
            self._current = None
            aligned = self._sampler()
            backbone = self._checkpoint.backbone
            original = getattr(aligned.pipeline, backbone.denoiser)
            denoiser = finetuning.apply(
                original, backbone, self._protocol.profiles[profile], variant.weights
            )
            self._current = (variant.content, aligned.with_denoiser(denoiser))
        return self._current[1]

    def _with_adapter(self, adapter: Adapter) -> Sampler:
        if self._current is None or self._current[0] != adapter.fingerprint:
            # An adapter may change any component, so its pipeline is one of its own, and a card may
            # hold one only.
            self._current = self._aligned = None
            self._current = (adapter.fingerprint, self._loaded(adapter.checkpoint))
        return self._current[1]
