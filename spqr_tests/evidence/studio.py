"""The studio: paints the checkpoint and its variants, each of which is made once and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spqr_tests.evidence import digest, finetuning, objectives
from spqr_tests.evidence.adapter import Adapter
from spqr_tests.evidence.benign_sets import BenignSet
from spqr_tests.evidence.checkpoint import Checkpoint
from spqr_tests.evidence.cost import Cost
from spqr_tests.evidence.finetuning import Examples
from spqr_tests.evidence.generations import Painter, Progress
from spqr_tests.evidence.protocol import Protocol
from spqr_tests.evidence.sampling import Sampler
from spqr_tests.evidence.store import Store


@dataclass(frozen=True)
class Variant:
    """One fine-tuned variant: its trained weights' file and the digest of its content."""

    label: str
    weights: Path
    content: str


class Studio:
    """The checkpoint under test, loaded when the first image or fine-tune needs it, and its variants.

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

    def painter(self) -> Painter:
        """What paints the checkpoint itself."""
        return Painter(self._fingerprint, self._device, self._protocol.sampler, self._sampler)

    def varied_painter(self, profile: str, scenario: str, benign: BenignSet) -> Painter:
        """What paints the variant of profile x scenario; it is fine-tuned first where the store lacks it."""
        # Also for a stored fine-tune: it may have been made under a protocol that checked less.
        self._admit(benign)
        return self._painter_of(profile, scenario, benign)

    def adapted_painter(self, adapter: Adapter) -> Painter:
        """What paints the checkpoint with a ready adapter on it."""
        return Painter(adapter.fingerprint, self._device, self._protocol.sampler, lambda: self._adapted(adapter))

    def stored_painter(self, profile: str, scenario: str, benign: BenignSet) -> Painter | None:
        """What paints the variant of profile x scenario where the store holds it; None where it would be fine-tuned first."""
        key = digest.of_json(self._recipe(profile, benign))
        record, weights = self._store.peek("finetunes", key), self._store.path("finetunes", key, ".safetensors")
        if record is None or not weights.is_file() or digest.of_file(weights) != record["file"]:
            return None
        return self._painter_of(profile, scenario, benign)

    def _painter_of(self, profile: str, scenario: str, benign: BenignSet) -> Painter:
        variant = self.variant(profile, scenario, benign)
        return Painter(variant.content, self._device, self._protocol.sampler, lambda: self._varied(variant, profile))

    def variant(self, profile: str, scenario: str, benign: BenignSet) -> Variant:
        """The variant of profile x scenario, from the store or fine-tuned now; one worker makes it, the others wait."""
        recipe = self._recipe(profile, benign)
        size = self._size
        key = digest.of_json(recipe)
        label = f"{profile}-{scenario}"
        weights = self._store.path("finetunes", key, ".safetensors")

        def make() -> dict[str, object]:
            from safetensors.torch import save

            settings = self._protocol.profiles[profile]
            self._current = None  # another variant's denoiser would take memory that training needs
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
        return Variant(label, weights, digest.of_json([self._fingerprint, record["file"]]))

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
        from spqr_tests.evidence.device import prepare

        prepare(self._device)
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

    def _varied(self, variant: Variant, profile: str) -> Sampler:
        # One variant is kept at a time: a second denoiser is all the memory that a card may have left.
        if self._current is None or self._current[0] != variant.content:
            self._current = None
            aligned = self._sampler()
            backbone = self._checkpoint.backbone
            original = getattr(aligned.pipeline, backbone.denoiser)
            denoiser = finetuning.apply(original, backbone, self._protocol.profiles[profile], variant.weights)
            self._current = (variant.content, aligned.with_denoiser(denoiser))
        return self._current[1]

    def _adapted(self, adapter: Adapter) -> Sampler:
        if self._current is None or self._current[0] != adapter.fingerprint:
            # An adapter may change any component, so its pipeline is one of its own, and a card may hold one only.
            self._current = self._aligned = None
            self._current = (adapter.fingerprint, self._loaded(adapter.checkpoint))
        return self._current[1]
