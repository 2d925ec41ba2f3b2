"""FLUX.2 klein: a transformer with joint attention, whose text is three of Qwen3's layers."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import autoencoder, chat, distilled
from spqr_tests.checkpoint.backbones.backbone import FLOW_SCHEDULERS, Backbone, Defaults
from spqr_tests.checkpoint.backbones.prompt_rows import QWEN_TOKENIZERS
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.backbones.text_answers import answering
from spqr_tests.checkpoint.formats.layouts.flux_2 import ORIGINAL

if TYPE_CHECKING:
    import torch

_TOKENS = 512
"""The pipeline's default; prompts are padded to it, and the padding is attended to."""
_LAYERS = 3
"""Hidden states of so many layers of the text encoder are one token's embedding."""
_SIDE = 1024
"""The pipeline's default; no config says it."""


class Flux2Klein(Backbone):
    """Rectified flow; with classifier-free guidance unless the index says `is_distilled`.

    Latents are patches of 2 x 2, normalised by the autoencoder's batch norm.
    """

    name = "FLUX.2 klein"
    pipelines = frozenset({"Flux2KleinPipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"Flux2Transformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKLFlux2"})),
            "text_encoder": ("transformers", frozenset({"Qwen3ForCausalLM"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": QWEN_TOKENIZERS})
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    arguments = frozenset({"is_distilled"})
    # As of FLUX.1; the single blocks' projections are for text and image together.
    cross_attention = ("attn.add_k_proj", "attn.add_v_proj", "attn.to_out.0")
    fused = MappingProxyType({"to_qkv_mlp_proj": frozenset({"to_q", "to_k", "to_v"})})
    defaults = Defaults(50, 4.0)
    original = ORIGINAL
    packed = 4
    # diffusers' train_dreambooth_lora_flux2_klein.py: --weighting_scheme none, and no shift.
    times = "uniform"

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """The base model's, or the distilled one's, which the index tells."""
        if configs.get("pipeline", {}).get("is_distilled"):
            return distilled.KLEIN
        return self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and the width of the text."""
        yield from super().relations(configs)
        width = configs["text_encoder"].get("hidden_size")
        yield Relation(
            "the transformer's joint_attention_dim",
            configs["transformer"].get("joint_attention_dim"),
            f"the text_encoder's hidden_size x {_LAYERS}",
            _LAYERS * width if type(width) is int else None,
        )

    def downsampling(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Of a patch."""
        return 2 * super().downsampling(configs)

    def latent_shape(self, vae: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int, int]:
        """Of the patches."""
        channels, rows, columns = super().latent_shape(vae, size)
        return 4 * channels, rows, columns

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """1024, in whole patches."""
        step = self.downsampling(configs)
        return _SIDE // step * step

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """Those of the template, up to the prompt's end."""
        del tokenizer, configs
        return _TOKENS

    def written(self, tokenizer: str) -> chat.Written | None:
        """In the tokenizer's template."""
        del tokenizer
        return chat.written(enable_thinking=False)

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, three widths)."""
        device = pipeline.device
        meta = device.type == "meta"
        sequence, _ = (answering(pipeline) if meta else pipeline).encode_prompt(
            list(texts), device="cpu" if meta else device, max_sequence_length=_TOKENS
        )
        return {"sequence": sequence.to(device)}

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The empty prompt's embeddings; {} for a distilled model."""
        return {} if pipeline.config.get("is_distilled") else empty

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The embeddings, and those of the empty prompt."""
        found = {"prompt_embeds": text["sequence"]}
        return found | ({"negative_prompt_embeds": negative["sequence"]} if negative else {})

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
        """The latents after the last step: what the pipeline returns of them is not normalised."""
        last: dict[str, torch.Tensor] = {}

        def keep(_: Any, __: int, ___: Any, tensors: "dict[str, torch.Tensor]") -> Any:
            last.update(tensors)
            return tensors

        pipeline(
            **self.conditions(text, negative),
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=size[0],
            width=size[1],
            generator=list(generators),
            output_type="latent",
            callback_on_step_end=keep,
        )
        step = self.downsampling({"vae": pipeline.vae.config})
        shape = size[0] // step, size[1] // step
        patches: torch.Tensor = last["latents"].transpose(1, 2).unflatten(2, shape)
        return patches

    def decode(self, pipeline: Any, latents: "torch.Tensor") -> "torch.Tensor":
        """The images of patches."""
        mean, std = _statistics(pipeline.vae, latents)
        n, channels, rows, columns = latents.shape
        split = (latents * std + mean).view(n, channels // 4, 2, 2, rows, columns)
        whole = split.permute(0, 1, 4, 2, 5, 3).reshape(n, channels // 4, 2 * rows, 2 * columns)
        return autoencoder.decode(pipeline.vae, whole)

    def encode(self, pipeline: Any, pixels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Mean and deviation of the patches of pixels."""
        import torch

        found = [
            torch.nn.functional.pixel_unshuffle(one, 2)
            for one in autoencoder.encode(pipeline.vae, pixels)
        ]
        mean, std = _statistics(pipeline.vae, found[0])
        return (found[0] - mean) / std, found[1] / std

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
        """The velocity from image to noise.

        Where guidance is an input it is 1 by default, so that training keeps the distilled
        guidance.
        """
        del size
        n, _, rows, columns = noisy.shape
        tokens = text["sequence"].shape[1]
        written = _positions(1, 1, tokens).to(noisy.device)
        drawn = _positions(rows, columns, 1).to(noisy.device)
        predicted = denoiser(
            hidden_states=noisy.flatten(2).transpose(1, 2),
            timestep=times / 1000,
            guidance=noisy.new_full((n,), guidance) if denoiser.config.guidance_embeds else None,
            encoder_hidden_states=text["sequence"],
            txt_ids=written.expand(n, -1, -1),
            img_ids=drawn.expand(n, -1, -1),
            return_dict=False,
        )[0]
        velocity: torch.Tensor = predicted.transpose(1, 2).unflatten(2, (rows, columns))
        return velocity


def _positions(rows: int, columns: int, tokens: int) -> "torch.Tensor":
    """Frame, row, column and token of each position: (1, positions, 4)."""
    import torch

    counted = [torch.arange(count) for count in (1, rows, columns, tokens)]
    return torch.cartesian_prod(*counted)[None]


def _statistics(vae: Any, like: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """The batch norm's mean and deviation, to broadcast against patches."""
    mean, variance = (
        one.view(1, -1, 1, 1).to(like) for one in (vae.bn.running_mean, vae.bn.running_var)
    )
    return mean, (variance + vae.config.batch_norm_eps).sqrt()


BACKBONE = Flux2Klein()
