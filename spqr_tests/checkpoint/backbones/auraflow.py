"""AuraFlow: a few blocks of joint attention and many of one stream, with Pile-T5 for the text."""

from collections.abc import Iterator, Mapping, Sequence
from math import isqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import (
    FLOW_SCHEDULERS,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.backbones.masked_text import MaskedText
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.auraflow import ORIGINAL
from spqr_tests.errors import InputError
from spqr_tests.settings.sampler import SamplerSettings

if TYPE_CHECKING:
    import torch

_JOINT = "joint_transformer_blocks."


class AuraFlow(MaskedText):
    """Rectified flow, with classifier-free guidance. The padding's embeddings are zeros."""

    name = "AuraFlow"
    pipelines = frozenset({"AuraFlowPipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"AuraFlowTransformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"UMT5EncoderModel"})),
        }
    )
    tokenizers = MappingProxyType(
        {"tokenizer": frozenset({"LlamaTokenizer", "LlamaTokenizerFast"})}
    )
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    cross_attention = ("attn.add_k_proj", "attn.add_v_proj", "attn.to_out")
    defaults = Defaults(50, 3.5)
    original = ORIGINAL
    patch = 2
    upcasts = True
    tokens = 256

    def brings_text(self, parameter: str) -> bool:
        """Of the joint blocks alone: in the others, text and image have the same projections."""
        return parameter.startswith(_JOINT) and super().brings_text(parameter)

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and the width of the text."""
        yield from super().relations(configs)
        yield Relation(
            "the transformer's joint_attention_dim",
            configs["transformer"].get("joint_attention_dim"),
            "the text_encoder's d_model",
            configs["text_encoder"].get("d_model"),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The autoencoder's size: the transformer's `sample_size` is half of its own."""
        step = self.downsampling(configs) * self.patch
        return rows_of_latents(configs["vae"]) // step * step

    def check(self, sampler: SamplerSettings, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """`InputError` also for sides beyond the transformer's learned positions."""
        super().check(sampler, configs)
        positions = configs["transformer"].get("pos_embed_max_size", 1024)
        most = isqrt(positions) * self.downsampling(configs) * self.patch
        for key, side in (("height", sampler.numbers.height), ("width", sampler.numbers.width)):
            if side > most:
                raise InputError(
                    f"sampler.{key} is {side}, and this {self.name} checkpoint has positions for"
                    f" {most} pixels."
                )

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width), zero where there is no text."""
        return {"sequence": super().embed(pipeline, texts)["sequence"]}

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> dict[str, Any]:
        """Both embeddings, and masks, which the pipeline asks for and does not use."""
        unused = text["sequence"].new_ones(text["sequence"].shape[:2])
        return {
            "prompt_embeds": text["sequence"],
            "prompt_attention_mask": unused,
            "negative_prompt_embeds": negative["sequence"],
            "negative_prompt_attention_mask": unused,
        }

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
        """The velocity from image to noise."""
        del size, guidance
        predicted: torch.Tensor = denoiser(
            noisy,
            encoder_hidden_states=text["sequence"],
            timestep=times / 1000,
            return_dict=False,
        )[0]
        return predicted


BACKBONE = AuraFlow()
