"""PixArt-Sigma: a transformer with cross-attention to T5."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import (
    DIFFUSION_SAMPLERS,
    DIFFUSION_SCHEDULERS,
    Defaults,
    rows_of_latents,
)
from spqr_tests.checkpoint.backbones.masked_text import MaskedText
from spqr_tests.checkpoint.backbones.relation import Relation

if TYPE_CHECKING:
    import torch

_CLASS = "PixArtTransformer2DModel"
_ALPHA_ROWS = 128
# Of the class that it shared with other transformers before diffusers 0.30; PixArt has none of it.
_UNUSED: Mapping[str, Any] = MappingProxyType(
    {
        "double_self_attention": False,
        "num_vector_embeds": None,
        "only_cross_attention": False,
        "use_linear_projection": False,
    }
)


class PixArtSigma(MaskedText):
    """Diffusion with a learned variance, which only sampling with all steps would use."""

    name = "PixArt-Sigma"
    pipelines = frozenset({"PixArtSigmaPipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({_CLASS, "Transformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKL"})),
            "text_encoder": ("transformers", frozenset({"T5EncoderModel"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": frozenset({"T5Tokenizer", "T5TokenizerFast"})})
    schedulers = DIFFUSION_SCHEDULERS
    samplers = MappingProxyType(DIFFUSION_SAMPLERS)
    cross_attention = ("attn2.to_k", "attn2.to_v", "attn2.to_out")
    defaults = Defaults(20, 4.5)
    patch = 2
    variance = True
    tokens = 300

    def current(
        self, component: str, model_class: str, config: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The published folders name `Transformer2DModel`, whose PixArt is a class of its own."""
        if model_class != "Transformer2DModel":
            return super().current(component, model_class, config)
        unused = {key for key, value in _UNUSED.items() if config.get(key, value) == value}
        return _CLASS, {key: value for key, value in config.items() if key not in unused}

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and T5's width."""
        yield from super().relations(configs)
        transformer = configs["transformer"]
        yield Relation(
            "the transformer's caption_channels",
            transformer.get("caption_channels"),
            "the text_encoder's d_model",
            configs["text_encoder"].get("d_model"),
        )
        sized = transformer.get("use_additional_conditions")
        if sized is None:  # its class's own rule
            sized = transformer.get("sample_size") == _ALPHA_ROWS
        yield Relation(
            "the transformer's use_additional_conditions",
            int(bool(sized)),
            "PixArt-Sigma's",
            0,
            {1: "PixArt-Alpha of 1024 px"},
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """The transformer's rows of latents, converted to pixels."""
        return rows_of_latents(configs["transformer"]) * self.downsampling(configs)

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
        """Noise, velocity or sample, as the scheduler's config says; without the variance."""
        del size, guidance
        predicted: torch.Tensor = denoiser(
            noisy,
            encoder_hidden_states=text["sequence"],
            encoder_attention_mask=text["mask"],
            timestep=times,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return predicted[:, : noisy.shape[1]]


BACKBONE = PixArtSigma()
