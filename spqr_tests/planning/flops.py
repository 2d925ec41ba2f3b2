"""Floating-point operations of generating and of fine-tuning, from configs alone.

The code that generates and trains runs on the meta device, whose tensors have shapes but no
numbers, and torch counts what it would compute: matrix products, convolutions and attention, with
two operations a multiply-add.
"""

from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from spqr_tests.checkpoint import loading, prompt_scaled
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.generation import finetuning
from spqr_tests.generation.sampling import Sampler
from spqr_tests.generation.text_encoder_training import TextEncoders
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings

if TYPE_CHECKING:
    import torch

_TEXT = "a"
"""Stands for any text, since all are padded; the empty one may be encoded in another way."""


Counted = TypeVar("Counted")


class Flops:
    """What the parts of a run cost for one checkpoint, in FLOPs.

    `settings` are resolved: none of them is left to the checkpoint.
    """

    def __init__(self, parts: Parts, settings: SamplerSettings) -> None:
        self._settings = settings
        self._backbone = parts.backbone
        self._models = tuple(parts.models)
        self._pipeline = loading.skeleton(parts)
        # Sets the scheduler that the settings ask for.
        Sampler(self._pipeline, self._backbone, settings)
        self._text = self._backbone.embed(self._pipeline, [_TEXT])
        self._kept: dict[str, Any] = {}
        # By JSON: a profile may hold tables, which have no hash.
        self._training = cache(self._count_training)
        self._trainable = cache(self._made_trainable)

    def once(self, what: str, count: Callable[[], Counted]) -> Counted:
        """What `count` gives, counted once for this model and these settings, by its name."""
        if what not in self._kept:
            self._kept[what] = count()
        found: Counted = self._kept[what]
        return found

    def generation(self, guidance: float | None = None) -> int:
        """One image: all steps of the denoiser, and decoding.

        With guidance (the settings' by default), a step may need two forward passes. A short
        micro-batch is padded, so that it costs as much as a full one.
        """
        away = self.away if self._passes(guidance) > 1 else 0
        return self.forwards * (self.forward + away) + self.decode

    def _passes(self, guidance: float | None = None) -> int:
        """Forward passes a step: two with guidance, where the denoiser does not take it in."""
        scale = self._settings.numbers.guidance if guidance is None else guidance
        guides = scale > self._backbone.unguided
        doubled = guides and bool(self._backbone.unconditional(self._pipeline, self._text))
        return 2 if doubled else 1

    def generation_of(self, steps: int) -> float:
        """One image of so many steps, with the settings' guidance."""
        denoising = self.generation() - self.decode
        return denoising / self.forwards * steps + self.decode

    @cached_property
    def all_parameters(self) -> int:
        """Of all models of the pipeline, and of adapters beside them."""
        models = (getattr(self._pipeline, name) for name in self._models)
        adapters = prompt_scaled.of(self._denoiser)
        beside = 0 if adapters is None else adapters.parameters
        own = sum(int(one.numel()) for model in models for one in model.parameters())
        return beside + own

    @cached_property
    def forwards(self) -> int:
        """Steps of the scheduler; some schedulers make more than they are asked for."""
        scheduler = self._pipeline.scheduler
        # A scheduler with dynamic shifting demands mu; any value gives the same number of steps.
        dynamic = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
        scheduler.set_timesteps(self._settings.numbers.steps, **dynamic)
        return len(scheduler.timesteps)

    @cached_property
    def forward(self) -> int:
        """One forward pass of the denoiser, for one image."""
        with prompt_scaled.scaled(self._denoiser):
            return self._each(lambda: self._predict(self._denoiser, self._batch))

    @cached_property
    def away(self) -> int:
        """One forward pass for the text that guidance leads away from, which may be shorter."""
        if "mask" not in self._text:
            return self.forward
        empty = self._backbone.embed(self._pipeline, [""])
        negative = {
            name: tensor.expand(self._batch, *tensor.shape[1:])
            for name, tensor in self._backbone.unconditional(self._pipeline, empty).items()
        }
        return self._each(lambda: self._predict(self._denoiser, self._batch, negative))

    @cached_property
    def decode(self) -> int:
        """Decoding the latents of one image."""
        return self._each(lambda: self._backbone.decode(self._pipeline, self._latents(self._batch)))

    @cached_property
    def encode(self) -> int:
        """Encoding one picture into latents."""
        numbers = self._settings.numbers
        pixels = _empty(self._batch, 3, numbers.height, numbers.width)
        return self._each(lambda: self._backbone.encode(self._pipeline, pixels))

    @cached_property
    def text(self) -> int:
        """Embedding one text."""
        import torch

        # A text that is asked for twice may be embedded once.
        with torch.no_grad():
            return _counted(lambda: self._backbone.embed(self._pipeline, [_TEXT]))

    def training(self, profile: ProfileSettings, batch: int) -> int:
        """One picture in one training step, forward and backward, in batches of this size.

        Text encoders are included where they are trained; latents and text embeddings are not.
        Raises `EvidenceError` for a profile that does not fit this model.
        """
        return self._training(without_budget(profile), batch)

    def parameters(self, profile: ProfileSettings) -> int:
        """How many parameters a profile trains; raises as `training` does."""
        _, trained, encoders = self._trainable(without_budget(profile))
        return sum(parameter.numel() for parameter in (trained | encoders.trained).values())

    def training_step(
        self, profile: ProfileSettings, batch: int, *, checkpointing: bool = False
    ) -> "tuple[Callable[[], None], list[Any], list[torch.nn.Parameter]]":
        """A step, forward and backward, the models that are trained, and their trained parameters.

        Raises as `training` does.
        """
        denoiser, trained, encoders = self._trainable(without_budget(profile))
        denoiser.train()
        if checkpointing:
            denoiser.enable_gradient_checkpointing()
        else:  # the denoiser is kept, with what was asked of it before
            denoiser.disable_gradient_checkpointing()
        encoders.train(checkpointing=checkpointing)
        if encoders.models:
            encoders.embed([""])  # text encoders that are not trained are asked once

        def step() -> None:
            text = encoders.embed([""] * batch) if encoders.models else None
            self._predict(denoiser, batch, text).float().square().mean().backward()

        models = [denoiser, *encoders.models.values()]
        return step, models, [*(trained | encoders.trained).values()]

    def stages_of(
        self, pipeline: Any, dtype: "torch.dtype"
    ) -> "tuple[Callable[[], Any], Callable[[], Any]]":
        """A denoising step of a micro-batch of `pipeline`, on the meta device, and its decoding."""
        numbers, count = self._settings.numbers, self._batch * self._passes()
        text = {
            name: tensor.expand(count, *tensor.shape[1:]).to(dtype)
            for name, tensor in self._text.items()
        }

        denoiser = getattr(pipeline, self._backbone.denoiser)

        def denoise() -> Any:
            with prompt_scaled.scaled(denoiser):
                return self._backbone.predict(
                    denoiser,
                    self._latents(count).to(dtype),
                    _empty(count),
                    text,
                    (numbers.height, numbers.width),
                )

        def decode() -> Any:
            return self._backbone.decode(pipeline, self._latents(self._batch).to(dtype))

        return denoise, decode

    def _count_training(self, profile: str, batch: int) -> int:
        settings = ProfileSettings.model_validate_json(profile)
        step, _, _ = self.training_step(settings, batch)
        return _counted(step) // batch

    def _made_trainable(
        self, profile: str
    ) -> "tuple[Any, dict[str, torch.nn.Parameter], TextEncoders]":
        import torch

        settings = ProfileSettings.model_validate_json(profile)
        with torch.device("meta"):
            denoiser, trained = finetuning.trainable(
                self._denoiser, self._backbone, settings, frozen=torch.float32
            )
            encoders = TextEncoders(self._pipeline, self._backbone, settings, frozen=torch.float32)
        return denoiser, trained, encoders

    @property
    def _denoiser(self) -> Any:
        return getattr(self._pipeline, self._backbone.denoiser)

    @property
    def _batch(self) -> int:
        return self._settings.micro_batch

    def _predict(
        self, denoiser: Any, batch: int, text: "dict[str, torch.Tensor] | None" = None
    ) -> "torch.Tensor":
        numbers = self._settings.numbers
        text = text or {
            name: tensor.expand(batch, *tensor.shape[1:]) for name, tensor in self._text.items()
        }
        return self._backbone.predict(
            denoiser, self._latents(batch), _empty(batch), text, (numbers.height, numbers.width)
        )

    def _latents(self, batch: int) -> "torch.Tensor":
        numbers, vae = self._settings.numbers, self._pipeline.vae
        size = numbers.height, numbers.width
        return _empty(batch, *self._backbone.latent_shape(vae.config, size))

    def _each(self, work: Callable[[], Any]) -> int:
        """One image's share of a micro-batch."""
        import torch

        with torch.no_grad():
            return _counted(work) // self._batch


_KEPT = 4
_counted_before: dict[tuple[str, str], Flops] = {}


def counts(fingerprint: str, parts: Parts, settings: SamplerSettings) -> Flops:
    """The FLOPs of the model with this fingerprint; as those of `Flops(parts, settings)`.

    Counting takes seconds, and a process may plan several runs of a model.
    """
    key = fingerprint, settings.model_dump_json()
    found = _counted_before.pop(key, None) or Flops(parts, settings)
    _counted_before[key] = found
    while len(_counted_before) > _KEPT:
        del _counted_before[next(iter(_counted_before))]
    return found


def without_budget(profile: ProfileSettings) -> str:
    """The profile with one budget, as JSON.

    Profiles that differ in nothing else are counted once.
    """
    update = {"epochs": 1, "steps": None, "reserved": False, "recipe": None}
    return profile.model_copy(update=update).model_dump_json()


def _counted(work: Callable[[], Any]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def _empty(*shape: int) -> "torch.Tensor":
    import torch

    return torch.empty(shape, device="meta")
