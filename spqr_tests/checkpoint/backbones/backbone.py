"""A backbone: everything that differs between families of text-to-image models."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import autoencoder
from spqr_tests.checkpoint.backbones.chat import Written
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.table import Original
from spqr_tests.errors import InputError
from spqr_tests.settings.finetuning import OptimizerSettings
from spqr_tests.settings.sampler import SamplerSettings

if TYPE_CHECKING:
    import torch

DIFFUSION_SCHEDULERS = frozenset(
    {
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LCMScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "TCDScheduler",
        "UniPCMultistepScheduler",
    }
)
UNET_INPUTS = MappingProxyType(
    {
        5: "a model that starts from a depth map",
        7: "an upscaler",
        8: "a model that edits pictures",
        9: "an inpainting model",
    }
)
_TRAINED_STEPS = frozenset({"LCMScheduler", "TCDScheduler"})
"""Schedulers that choose among the steps which the model was distilled from."""
FLOW_SCHEDULERS = frozenset({"FlowMatchEulerDiscreteScheduler"})
DIFFUSION_SAMPLERS = {
    "ddim": "DDIMScheduler",
    "dpmsolver++": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
}


@dataclass(frozen=True)
class Defaults:
    """How the backbone's authors sample from it: steps and guidance scale."""

    steps: int
    guidance: float
    distilled: str = ""
    """The distilled model whose configs these are ('SDXL Turbo'); '' when the configs tell none."""


class Backbone(ABC):
    """One family: what its pipelines consist of, how they sample and how they are trained.

    No other part of the suite knows these details. Nothing is imported from torch or diffusers
    until a method needs it.
    """

    name: str
    pipelines: frozenset[str]
    """The diffusers classes that a model_index.json may name as its `_class_name`."""
    denoiser: str
    """'unet' or 'transformer'."""
    models: Mapping[str, tuple[str, frozenset[str]]]
    """Library and allowed classes of each component that has weights."""
    tokenizers: Mapping[str, frozenset[str]]
    tokenizer_library: str = "transformers"
    schedulers: frozenset[str]
    samplers: Mapping[str, str]
    """The diffusers class for each `sampler.scheduler` of a protocol, except 'checkpoint'."""
    optional: frozenset[str] = frozenset()
    """Components that a pipeline may lack (null in its index)."""
    left_out: frozenset[str] = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
    """Components that are never loaded: they change finished images, or do not serve text to
    image.
    """
    arguments: frozenset[str] = frozenset()
    """Switches in the model_index.json that are passed to the pipeline."""
    cross_attention: tuple[str, ...]
    """Parts of the names, whole between dots, of what `trains = "cross-attention"` trains: the
    parameters that bring the text into the denoiser.
    """
    fused: Mapping[str, frozenset[str]] = MappingProxyType({})
    """Layers that are several of a profile's `targets` in one."""
    defaults: Defaults
    patch: int = 1
    """Rows of latents that the denoiser reads as one."""
    packed: int = 1
    """Latents' values that are one channel of the denoiser."""
    variance: bool = False
    """Whether the denoiser predicts a variance too, in as many channels, which nothing reads."""
    upcasts: bool = False
    """Whether its pipeline computes in float32 an autoencoder that would overflow in float16."""
    predictions: tuple[str, ...] = ("epsilon", "v_prediction", "sample")
    """What a diffusion scheduler's `prediction_type` may say."""
    inputs: Mapping[int, str] = MappingProxyType({})
    """Models that are not for text alone, by their denoiser's input channels."""
    multiple: int = 1
    """Heights and widths must be multiples of this many pixels, whatever the configs say."""
    original: Original | None = None
    config_defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """Of a package's backbone: the defaults of its models' classes, by class and key, for those
    that the suite's own table lacks (`python -m spqr_tests.checkpoint.formats.configs CLASS`).
    """
    package = ""
    """The distribution and version that a backbone is of; '' for the suite's own. It is set when an
    entry point is loaded, and is part of the fingerprint.
    """

    guided = False
    """Whether guidance may be an input of the denoiser."""
    guidance_argument = "guidance_scale"
    """What the pipeline calls its guidance scale."""
    scaled_by_prompt = False
    """Whether the published code that scales an SPM by the prompt runs on this family."""
    unguided = 1.0
    """The largest guidance scale with which the pipeline does not guide."""
    times: str | None = None
    """How noise levels are drawn in training unless a profile says so, as of `Flow`."""

    @property
    def clip_encoders(self) -> tuple[str, ...]:
        """The components that are CLIP text encoders, which users' trainers train."""
        return tuple(
            name
            for name, (_, classes) in self.models.items()
            if any(one.startswith("CLIPText") for one in classes)
        )

    @property
    def trained_by(self) -> str:
        """'diffusion' or 'flow matching', or another objective's name for messages."""
        return "flow matching" if self.schedulers <= FLOW_SCHEDULERS else "diffusion"

    def current(
        self, component: str, model_class: str, config: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Class and config of a component as the libraries save it now, from what a folder names.

        Libraries move a family's model to a class of its own; its weights stay the same.
        """
        del component
        return model_class, config

    def brings_text(self, parameter: str) -> bool:
        """Whether `trains = "cross-attention"` trains this parameter of the denoiser."""
        return any(f".{part}." in f".{parameter}" for part in self.cross_attention)

    def downsampling(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Pixels a side of one row of latents."""
        return autoencoder.downsampling(configs["vae"])

    def latent_shape(self, vae: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int, int]:
        """Channels, rows and columns of the latents of an image of `size` (height, width).

        `vae` is the autoencoder's config.
        """
        scale = self.downsampling({"vae": vae})
        return int(vae["latent_channels"]), size[0] // scale, size[1] // scale

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """The tokens of a prompt that `embed` asks for; None for the tokenizer's own length."""
        del tokenizer, configs
        return None

    def written(self, tokenizer: str) -> Written | None:
        """How the pipeline writes a prompt before it is told into tokens; None for as it is."""
        del tokenizer
        return None

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """The defaults of the published model with these configs.

        `configs["scheduler"]`, if it is there, is the scheduler's, with its class as `_class_name`,
        and `configs["pipeline"]` has the switches of the index.
        """
        del configs
        return self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """What must be equal in the components' configs, which hold their classes' defaults."""
        vae = configs["vae"]
        latents, denoiser = vae.get("latent_channels"), configs[self.denoiser]
        for key in ("in_channels", "out_channels"):
            yield Relation(f"the vae's {key}", vae.get(key), "the number of colours", 3)
        if type(latents) is int:
            latents *= self.packed
        other = "the vae's latent_channels" + (f" x {self.packed}" if self.packed > 1 else "")
        yield Relation(
            f"the {self.denoiser}'s in_channels",
            denoiser.get("in_channels"),
            other,
            latents,
            self.inputs,
        )
        if self.variance and type(latents) is int:
            latents, other = 2 * latents, f"{other}, and as many for a variance"
        yield Relation(
            f"the {self.denoiser}'s out_channels", denoiser.get("out_channels"), other, latents
        )

    def check(self, sampler: SamplerSettings, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """`InputError` for resolved settings that a checkpoint with these configs cannot follow."""
        if sampler.scheduler != "checkpoint" and sampler.scheduler not in self.samplers:
            known = ", ".join(repr(name) for name in ("checkpoint", *self.samplers))
            raise InputError(
                f"sampler.scheduler is {sampler.scheduler!r}, which does not work with"
                f" {self.name}; use one of: {known}."
            )
        scheduler = configs.get("scheduler", {})
        most = scheduler.get("original_inference_steps", 50)
        if (
            sampler.scheduler == "checkpoint"
            and scheduler.get("_class_name") in _TRAINED_STEPS
            and isinstance(most, int)
            and sampler.numbers.steps > most
        ):
            raise InputError(
                f"sampler.steps is {sampler.numbers.steps}, and this checkpoint's"
                f" {scheduler['_class_name']} has at most {most}: such models need about 4."
            )
        step = lcm(self.multiple, self.downsampling(configs) * self.patch)
        for key, side in (("height", sampler.numbers.height), ("width", sampler.numbers.width)):
            if side % step:
                raise InputError(
                    f"sampler.{key} is {side}, and this {self.name} checkpoint generates multiples"
                    f" of {step} pixels; try {max(1, round(side / step)) * step}."
                )

    def check_optimizer(self, optimizer: OptimizerSettings) -> None:
        """`InputError` for settings that mean nothing for this backbone's loss."""
        if optimizer.min_snr_gamma is not None and self.trained_by != "diffusion":
            raise InputError(
                f"finetuning.min_snr_gamma weighs the loss of diffusion models, and {self.name} is"
                f" trained by {self.trained_by}; leave it out."
            )

    @abstractmethod
    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Height and width in pixels that a checkpoint with these configs was made for.

        `KeyError` or `TypeError` when the configs do not say.
        """

    @abstractmethod
    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """Text embeddings by name; the first axis of each has the length of `texts`."""

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The embeddings that classifier-free guidance leads away from; {} without such guidance.

        `empty` are the embeddings of the empty prompt. Both are in the form that `embed` returns.
        """
        del pipeline
        return empty

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The pipeline's arguments for the embeddings of n prompts.

        `negative` is what `unconditional` returned (or {}), for n prompts.
        """
        return {
            "prompt_embeds": text["sequence"],
            "pooled_prompt_embeds": text["pooled"],
            "negative_prompt_embeds": negative["sequence"],
            "negative_pooled_prompt_embeds": negative["pooled"],
        }

    def latents(
        self,
        pipeline: Any,
        text: "dict[str, torch.Tensor]",
        negative: "dict[str, torch.Tensor]",
        *,
        steps: int,
        guidance: float,
        size: tuple[int, int],
        generators: "Sequence[torch.Generator]",
    ) -> "torch.Tensor":
        """Sample with the pipeline: latents (n, channels, rows, columns), as `decode` accepts them.

        `size` is (height, width) in pixels.
        """
        latents: torch.Tensor = pipeline(
            **self.conditions(text, negative),
            num_inference_steps=steps,
            **{self.guidance_argument: guidance},
            height=size[0],
            width=size[1],
            generator=list(generators),
            output_type="latent",
        ).images
        return latents

    def decode(self, pipeline: Any, latents: "torch.Tensor") -> "torch.Tensor":
        """The images (n, 3, height, width) of latents, float32, nominally in [-1, 1]."""
        return autoencoder.decode(pipeline.vae, latents, upcast=self._overflows(pipeline.vae))

    def encode(self, pipeline: Any, pixels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Mean and standard deviation of the latents of `pixels` (n, 3, height, width) in [-1, 1].

        Both are (n, channels, rows, columns), float32, in the denoiser's units, as `decode` accepts
        them.
        """
        return autoencoder.encode(pipeline.vae, pixels, upcast=self._overflows(pipeline.vae))

    def _overflows(self, vae: Any) -> bool:
        return self.upcasts and autoencoder.overflows(vae)

    @abstractmethod
    def predict(
        self,
        denoiser: Any,
        noisy: "torch.Tensor",
        times: "torch.Tensor",
        text: "dict[str, torch.Tensor]",
        size: tuple[int, int],
        *,
        guidance: float = 1.0,
    ) -> "torch.Tensor":
        """The denoiser's output (n, channels, rows, columns) for noisy latents at `times` (n,).

        Times are in the scheduler's units, from 0 to num_train_timesteps. `size` is (height, width)
        in pixels. `guidance` is for a model that takes it as an input. Gradients flow.
        """


def rows_of_latents(config: Mapping[str, Any]) -> int:
    """A component's `sample_size`; `KeyError` or `TypeError` when its config does not say.

    It may be given for each side; the sides must be equal.
    """
    size = config["sample_size"]
    if isinstance(size, list | tuple) and len(size) == 2 and size[0] == size[1]:
        size = size[0]
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise TypeError("sample_size is not a positive number")
    return size
