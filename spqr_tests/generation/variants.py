"""Variants: the checkpoint and its variants, each made once and kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.adapter import Adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import (
    destroyed,
    dreambooth,
    encoding,
    finetuning,
    objectives,
    optimizers,
    text_encoder_training,
)
from spqr_tests.generation.finetuning import Examples, FineTuned
from spqr_tests.generation.generations import TRAINING, ImageSource, Progress, generate
from spqr_tests.generation.lengths import Lengths
from spqr_tests.generation.sampling import Sampler
from spqr_tests.generation.training_state import Keeper
from spqr_tests.settings.finetuning import REPLICATION, OptimizerSettings, ProfileSettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.settings.uptake import UPTAKE
from spqr_tests.store import device, digest, libraries, tensors
from spqr_tests.store.computing import computing
from spqr_tests.store.cost import Cost
from spqr_tests.store.entry import DamagedError
from spqr_tests.store.store import Store
from spqr_tests.verdict import names
from spqr_tests.verdict.names import Variant

if TYPE_CHECKING:
    import torch

KIND = "finetunes"


@dataclass(frozen=True)
class TrainedVariant:
    """One fine-tuned variant: where its weights are in the store, and what they are."""

    label: str
    key: str
    weights: str
    """Digest of the trained tensors."""
    content: str
    """Digest of the checkpoint with these weights."""


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
        self._encoded: tuple[tuple[str, str | None], Examples] | None = None
        self._found: dict[str, TrainedVariant] = {}

    def source(self) -> ImageSource:
        """Images of the checkpoint itself."""
        return ImageSource(self._fingerprint, self._device, self._protocol.sampler, self._sampler)

    def fine_tuned(
        self, variant: Variant, benign: BenignSet, training: int = 0, *, steps: int | None = None
    ) -> ImageSource:
        """Images of a variant; it is fine-tuned first where the store lacks it.

        `training` is the number of the replicate, from 0. With `steps` they are of the variant as
        it was after so many steps of that training.
        """
        # Also for a stored fine-tune: the protocol that made it may have checked less.
        self._admit(benign)
        return self._source_of(
            self.trained(variant, benign, training, steps=steps), variant.profile
        )

    def adapted(self, adapter: Adapter) -> ImageSource:
        """Images of the checkpoint with a ready adapter on it."""
        settings = self._protocol.sampler
        return ImageSource(
            adapter.fingerprint, self._device, settings, lambda: self._with_adapter(adapter)
        )

    def stored(
        self, variant: Variant, benign: BenignSet, training: int = 0, *, steps: int | None = None
    ) -> ImageSource | None:
        """Images of a variant where the store holds it; None where it would be trained first.

        The digest that its weights state is not verified.
        """
        key = digest.of_json(self.lengths(variant, benign, training).recipe(steps))
        path = self._store.path(KIND, key, tensors.SUFFIX)
        try:
            kept = tensors.content(path, KIND, key)
        except (OSError, DamagedError):
            return None
        return self._source_of(self._trained_variant(variant.label, key, kept), variant.profile)

    def is_destroyed(
        self, variant: Variant, benign: BenignSet, training: int = 0, *, steps: int | None = None
    ) -> bool:
        """Whether the store knows that the training diverged, or left a model without images."""
        if destroyed.known(
            self._store, digest.of_json(self.lengths(variant, benign, training).recipe())
        ):
            return True
        source = self.stored(variant, benign, training, steps=steps)
        return source is not None and destroyed.known(self._store, source.model_key)

    def _source_of(self, trained: TrainedVariant, profile: str) -> ImageSource:
        return ImageSource(
            trained.content,
            self._device,
            self._protocol.sampler,
            lambda: self._with_weights(trained, profile),
            trained=True,
        )

    def trained(
        self, variant: Variant, benign: BenignSet, training: int = 0, *, steps: int | None = None
    ) -> TrainedVariant:
        """A variant, from the store or fine-tuned now; one worker makes it, the others wait.

        Its weights are verified once. With `steps`, it is the variant after so many steps.
        """
        lengths = self.lengths(variant, benign, training)
        key = digest.of_json(lengths.recipe(steps))
        if key not in self._found:
            kept = self._weights(key)
            if kept is None:
                # One training leaves them all, so that one lock is theirs.
                whole = digest.of_json(lengths.recipe())
                with self._store.lock(whole):
                    kept = self._weights(key)
                    if kept is None:
                        self._store.attempt(
                            key,
                            lambda: destroyed.once(
                                self._store,
                                whole,
                                lambda: self._train(variant, benign, training, lengths),
                            ),
                        )
                        kept = self._weights(key)
            if kept is None:
                raise EvidenceError(
                    f"The weights of {variant.label} were removed or damaged as soon as they were"
                    " stored; run again."
                )
            self._found[key] = self._trained_variant(variant.label, key, kept[1])
        return self._found[key]

    def _train(self, variant: Variant, benign: BenignSet, training: int, lengths: Lengths) -> None:
        """Train once, as far as the store lacks the variant, and keep it at each such step."""
        self._store.require_more(f"the weights of {names.training(variant, training)}")
        self._current = None  # another variant's denoiser would take memory that training needs
        missing = [
            steps
            for steps in lengths.steps
            if self._weights(digest.of_json(lengths.recipe(steps))) is None
        ]
        last = missing.pop()
        keeper = Keeper(self._store, digest.of_json(lengths.recipe()))
        profile = lengths.profile(last)

        def keep(tuned: FineTuned) -> None:
            self._keep(tuned, lengths.recipe(tuned.steps))

        with computing(self._device), self._cost.during("training"):
            tuned = finetuning.finetune(
                self._sampler().pipeline,
                self._checkpoint.backbone,
                self._examples(benign, profile),
                profile,
                self._optimizer(profile, training),
                self._size,
                lambda done, steps: self._progress(
                    f"{TRAINING}{names.training(variant, training)}", done, steps
                ),
                keeper,
                dict.fromkeys(missing, keep),
            )
        keep(tuned)
        keeper.forget()
        self._cost.finetuned += 1

    def _keep(self, tuned: FineTuned, recipe: dict[str, Any]) -> None:
        key = digest.of_json(recipe)
        about = {
            "device": device.name(self._device),
            "first_loss": tuned.first_loss,
            "last_loss": tuned.last_loss,
            "libraries": libraries.versions(),
            "recipe": recipe,
            "steps": tuned.steps,
        }
        self._store.fill(
            KIND,
            key,
            tensors.SUFFIX,
            lambda path: tensors.save(path, tuned.tensors, KIND, key, **about),
        )

    def _weights(self, key: str) -> "tuple[dict[str, torch.Tensor], Mapping[str, Any]] | None":
        load = partial(tensors.load, kind=KIND, key=key)
        return self._store.load(KIND, key, tensors.SUFFIX, load)

    def _trained_variant(self, label: str, key: str, kept: Mapping[str, Any]) -> TrainedVariant:
        weights = str(kept["tensors"])
        return TrainedVariant(label, key, weights, digest.of_json([self._fingerprint, weights]))

    @property
    def _size(self) -> tuple[int, int]:
        numbers = self._protocol.sampler.numbers
        return numbers.height, numbers.width

    def _optimizer(self, profile: ProfileSettings, training: int) -> OptimizerSettings:
        settings = profile.optimizer_of(self._protocol.finetuning)
        return settings.model_copy(update={"seed": settings.training_seed(training)})

    def lengths(self, variant: Variant, benign: BenignSet, training: int = 0) -> Lengths:
        """The steps at which a variant is kept; a curve is of the first training alone."""
        profile, pictures = self._protocol.profiles[variant.profile], len(benign.pairs)
        whole = finetuning.steps_of(profile, self._protocol.finetuning, pictures)
        curve = profile.curve if training == 0 else None
        recipe = self._recipe(variant.profile, benign, training)
        return Lengths(profile.model_copy(update={"curve": curve}), whole, recipe)

    def _recipe(self, profile: str, benign: BenignSet, training: int) -> dict[str, Any]:
        """Everything that decides what a fine-tune learns."""
        settings = self._protocol.profiles[profile]
        in_force = optimizers.in_force(settings, self._device)
        images, source = self.class_images(profile), self.source()
        return {
            **({} if in_force is None else {"in_force": in_force}),
            **({"class": [source.key(one) for one in images]} if images else {}),
            "benign": benign.digest,
            "checkpoint": self._fingerprint,
            "device": self._device.split(":")[0],
            "dtype": self._protocol.sampler.dtype,
            "libraries": libraries.minor(libraries.TRAINING),
            "optimizer": self._optimizer(settings, training).model_dump(
                exclude={*REPLICATION, *UPTAKE}
            ),
            "profile": settings.recipe_of_training,
            "revision": [finetuning.REVISION, objectives.REVISION],
            "size": list(self._size),
        }

    def _sampler(self) -> Sampler:
        if self._aligned is None:
            self._current = None  # an adapter's pipeline, or a variant of one that is gone
            self._aligned = self._loaded(self._checkpoint, self._fingerprint)
        return self._aligned

    def _loaded(self, checkpoint: Checkpoint, known: str) -> Sampler:
        with self._cost.during("loading"):
            pipeline = checkpoint.pipeline(self._device, self._protocol.sampler.dtype, known)
            return Sampler(pipeline, checkpoint.backbone, self._protocol.sampler)

    def _examples(self, benign: BenignSet, profile: ProfileSettings) -> Examples:
        batch = self._protocol.finetuning.batch
        # One set is kept at a time: it is what the next profile is trained on.
        wanted = (benign.digest, profile.instance_prompt)
        if self._encoded is None or self._encoded[0] != wanted:
            self._encoded = None
            examples = encoding.encoded(
                self._store,
                self._fingerprint,
                self._device,
                self._protocol.sampler,
                benign,
                batch,
                wanted[1],
                lambda: (self._sampler().pipeline, self._checkpoint.backbone),
            )
            self._encoded = (wanted, examples)
        if profile.prior is None:
            return self._encoded[1]
        images = generate(
            self._store,
            self.source(),
            dreambooth.prompts(profile.prior, self._protocol.finetuning.seed),
            self._cost,
            self._progress,
            "the class of a DreamBooth training",
        )
        pipeline, backbone = self._sampler().pipeline, self._checkpoint.backbone
        prior = dreambooth.encode(pipeline, backbone, images, benign.folder, batch)
        return replace(self._encoded[1], prior=prior)

    def class_images(self, profile: str) -> list[Prompt]:
        """What a profile with prior preservation has the checkpoint generate; else nothing."""
        prior = self._protocol.profiles[profile].prior
        if prior is None:
            return []
        return dreambooth.prompts(prior, self._protocol.finetuning.seed)

    def _with_weights(self, variant: TrainedVariant, profile: str) -> Sampler:
        # One variant is kept at a time: a second denoiser is all the memory that a card may have
        # left.
        if self._current is None or self._current[0] != variant.content:
            self._current = None
            with self._cost.during("loading"):
                self._current = (variant.content, self._tuned(variant, profile))
        return self._current[1]

    def _tuned(self, variant: TrainedVariant, profile: str) -> Sampler:
        stored = self._weights(variant.key)
        if stored is None or stored[1]["tensors"] != variant.weights:
            raise EvidenceError(
                f"The weights of {variant.label} were removed or changed while they were used; run"
                " again."
            )
        aligned = self._sampler()
        backbone = self._checkpoint.backbone
        original = getattr(aligned.pipeline, backbone.denoiser)
        settings = self._protocol.profiles[profile]
        denoiser = finetuning.apply(original, backbone, settings, stored[0])
        encoders = text_encoder_training.apply(aligned.pipeline, backbone, settings, stored[0])
        return aligned.with_models({backbone.denoiser: denoiser, **encoders})

    def _with_adapter(self, adapter: Adapter) -> Sampler:
        if self._current is None or self._current[0] != adapter.fingerprint:
            # An adapter may change any component, so its pipeline is one of its own, and a card may
            # hold one only.
            self._current = self._aligned = None
            self._current = (
                adapter.fingerprint,
                self._loaded(adapter.checkpoint, adapter.fingerprint),
            )
        return self._current[1]
