"""Qwen-Image: a transformer with joint attention over packed latents, and Qwen2.5-VL as encoder."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones import distilled, packing, prompt_rows
from spqr_tests.checkpoint.backbones.backbone import FLOW_SCHEDULERS, Defaults
from spqr_tests.checkpoint.backbones.prompt_rows import QWEN_TOKENIZERS, PromptRows
from spqr_tests.checkpoint.backbones.relation import Relation
from spqr_tests.checkpoint.formats.layouts.qwen_image import ORIGINAL

if TYPE_CHECKING:
    import torch

_SIDE = 1328
"""Of the authors' square images (their card); no config says it."""


class QwenImage(PromptRows):
    """Rectified flow, with classifier-free guidance that keeps each patch's length.

    The pipeline puts a prompt into a template of its own and drops the template's first 34 tokens.
    """

    name = "Qwen-Image"
    pipelines = frozenset({"QwenImagePipeline"})
    denoiser = "transformer"
    models = MappingProxyType(
        {
            "transformer": ("diffusers", frozenset({"QwenImageTransformer2DModel"})),
            "vae": ("diffusers", frozenset({"AutoencoderKLQwenImage"})),
            "text_encoder": ("transformers", frozenset({"Qwen2_5_VLForConditionalGeneration"})),
        }
    )
    tokenizers = MappingProxyType({"tokenizer": QWEN_TOKENIZERS})
    schedulers = FLOW_SCHEDULERS
    samplers = MappingProxyType({})
    # The text's keys and values, and the image stream's output projection.
    cross_attention = ("attn.add_k_proj", "attn.add_v_proj", "attn.to_out")
    defaults = Defaults(50, 4.0)
    original = ORIGINAL
    patch = 2
    packed = 4
    guidance_argument = "true_cfg_scale"
    # diffusers' train_dreambooth_lora_qwen_image.py: --weighting_scheme none, and no shift.
    times = "uniform"
    tokens = 512
    """The pipeline's default."""

    def published(self, configs: Mapping[str, Mapping[str, Any]]) -> Defaults:
        """The base model's, or those of Lightning, which has a constant shift of its own."""
        if distilled.is_qwen_lightning(configs.get("scheduler", {})):
            return distilled.QWEN_LIGHTNING
        return self.defaults

    def relations(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Relation]:
        """Latents, and the width of the text."""
        vae, transformer = configs["vae"], configs["transformer"]
        latents = vae.get("z_dim")
        yield Relation(
            "the vae's input_channels", vae.get("input_channels"), "the number of colours", 3
        )
        yield Relation(
            "the transformer's in_channels",
            transformer.get("in_channels"),
            "the vae's z_dim x 4",
            4 * latents if type(latents) is int else None,
        )
        yield Relation(
            "the transformer's out_channels",
            transformer.get("out_channels"),
            "the vae's z_dim",
            latents,
        )
        yield Relation(
            "the transformer's joint_attention_dim",
            transformer.get("joint_attention_dim"),
            "the text_encoder's hidden_size",
            configs["text_encoder"].get("hidden_size"),
        )

    def resolution(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """1328: what the authors' card generates."""
        step = self.downsampling(configs) * self.patch
        return _SIDE // step * step

    def latent_shape(self, vae: Mapping[str, Any], size: tuple[int, int]) -> tuple[int, int, int]:
        """`z_dim` channels; an image is one frame."""
        scale = self.downsampling({"vae": vae})
        return int(vae["z_dim"]), size[0] // scale, size[1] // scale

    def token_limit(self, tokenizer: str, configs: Mapping[str, Mapping[str, Any]]) -> int | None:
        """The tokens that are kept of a prompt and what the template adds behind it."""
        del tokenizer, configs
        return self.tokens

    def encoded(self, pipeline: Any, text: str, device: "torch.device") -> "torch.Tensor":
        """A prompt's last hidden states; of an empty one those of a space, the authors' negative.

        Without the template's first 34 tokens.
        """
        sequence, _ = pipeline.encode_prompt(
            [text or " "], device=device, max_sequence_length=self.tokens
        )
        states: torch.Tensor = sequence[0]
        return states

    def conditions(
        self, text: "dict[str, torch.Tensor]", negative: "dict[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        """The embeddings without padding, with their masks."""
        import torch

        found = {}
        for prefix, given in (("", text), ("negative_", negative)):
            if given:
                sequence, mask = prompt_rows.trimmed(given)
                if mask is None:
                    mask = torch.ones(sequence.shape[:2], dtype=torch.bool, device=sequence.device)
                found[f"{prefix}prompt_embeds"] = sequence
                found[f"{prefix}prompt_embeds_mask"] = mask
        return found

    def latents(self, pipeline: Any, *given: Any, **settings: Any) -> "torch.Tensor":
        """The latents that the pipeline samples, unpacked."""
        height, width = settings["size"]
        patch = pipeline.vae_scale_factor * self.patch
        sampled = super().latents(pipeline, *given, **settings)
        return packing.unpacked(sampled, height // patch, width // patch)

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
        rows, columns = noisy.shape[2] // 2, noisy.shape[3] // 2
        sequence, mask = prompt_rows.trimmed(text)
        predicted = denoiser(
            hidden_states=packing.packed(noisy),
            timestep=times / 1000,
            encoder_hidden_states=sequence,
            encoder_hidden_states_mask=mask,
            img_shapes=[[(1, rows, columns)]] * len(noisy),
            return_dict=False,
        )[0]
        return packing.unpacked(predicted, rows, columns)


BACKBONE = QwenImage()
