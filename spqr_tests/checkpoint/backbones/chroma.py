"""Chroma: FLUX.1 without CLIP, whose guidance is real and whose padding is masked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import packing
from spqr_tests.checkpoint.backbones.backbone import Backbone, Defaults
from spqr_tests.checkpoint.backbones.flux import Flux
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.backbones.text_answers import answering
from spqr_tests.checkpoint.formats.layouts.chroma import ORIGINAL

if TYPE_CHECKING:
    import torch

_TOKENS = 512
"""The pipeline's default."""
_SINGLE = 3
"""Arguments of a single block, the last of which would be the mask."""


class Chroma(Flux):
    """Rectified flow, with classifier-free guidance."""

    name = "Chroma"
    pipelines = frozenset({"ChromaPipeline"})
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"ChromaTransformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"T5EncoderModel"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": frozenset({"T5Tokenizer", "T5TokenizerFast"})})
    # The card of lodestones/Chroma1-HD.
    defaults = Defaults(40, 3.0)
    guided = False
    inputs = MappingProxyType({})
    original = ORIGINAL

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """HD's; nothing tells Flash."""
        del configs
        return self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and T5's width."""
        yield from Backbone.relations(self, configs)
        yield Relation(
            "the transformer's joint_attention_dim",
            configs["transformer"].get("joint_attention_dim"),
            "the text_encoder's d_model",
            configs["text_encoder"].get("d_model"),
        )

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """T5's."""
        del tokenizer, configs
        return _TOKENS

    def embed(self, pipeline: Any, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """`sequence` (n, tokens, width), and `mask` (n, tokens): the prompt and one of padding."""
        device = pipeline.device
        meta = device.type == "meta"
        sequence, _, mask, *_ = (answering(pipeline) if meta else pipeline).encode_prompt(
            list(texts),
            device="cpu" if meta else device,
            do_classifier_free_guidance=False,
            max_sequence_length=_TOKENS,
        )
        return {"sequence": sequence.to(device), "mask": mask.to(device)}

    def unconditional(
        self, pipeline: Any, empty: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The empty prompt's embeddings."""
        del pipeline
        return empty

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The embeddings with their masks."""
        return {
            "prompt_embeds": text["sequence"],
            "prompt_attention_mask": text["mask"],
            "negative_prompt_embeds": negative["sequence"],
            "negative_prompt_attention_mask": negative["mask"],
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
        import torch

        del size, guidance
        rows, columns = noisy.shape[2] // 2, noisy.shape[3] // 2
        mask = torch.cat([text["mask"], text["mask"].new_ones(len(noisy), rows * columns)], dim=1)
        with _masked(denoiser, mask):
            predicted = denoiser(
                hidden_states=packing.packed(noisy),
                timestep=times / 1000,
                encoder_hidden_states=text["sequence"],
                txt_ids=noisy.new_zeros(text["sequence"].shape[1], 3),
                img_ids=packing.positions(rows, columns).to(noisy),
                attention_mask=mask,
                return_dict=False,
            )[0]
        return packing.unpacked(predicted, rows, columns)


@contextmanager
def _masked(denoiser: Any, mask: "torch.Tensor") -> Iterator[None]:
    """Give the single blocks their mask where activations are recomputed, too.

    diffusers leaves it out there (transformer_chroma.py), so that such a training would learn
    something else.
    """
    if not denoiser.gradient_checkpointing:
        yield
        return
    recomputed = denoiser._gradient_checkpointing_func  # noqa: SLF001

    def with_mask(block: Any, *given: Any) -> Any:
        whole = partial(block, attention_mask=mask) if len(given) == _SINGLE else block
        return recomputed(whole, *given)

    denoiser._gradient_checkpointing_func = with_mask  # noqa: SLF001
    try:
        yield
    finally:
        denoiser._gradient_checkpointing_func = recomputed  # noqa: SLF001


BACKBONE = Chroma()
