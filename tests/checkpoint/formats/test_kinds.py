"""Adapters and other files are named by what they are, whatever base they were made for."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.errors import InputError
from tests.checkpoint.formats.overlay.overlays import apply, refusal, save
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors

DOCUMENT = Path(__file__).parents[3] / "docs" / "checkpoints.md"
BASES = ["sd1", "sdxl", "sd3", "flux"]
KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def _shapes(**shapes: tuple[int, ...]) -> Tensors:
    return {name: torch.ones(shape) for name, shape in shapes.items()}


def _ones(shapes: dict[str, tuple[int, ...]]) -> Tensors:
    return _shapes(**shapes)


# FLUX.1-Canny-dev-lora and FLUX.1-Depth-dev-lora in their authors' names, and as diffusers' trainer
# for control saves them.
CONTROL = _ones(
    {
        "img_in.lora_A.weight": (128, 128),
        "img_in.lora_B.weight": (3072, 128),
        "img_in.lora_B.bias": (3072,),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "double_blocks.0.img_attn.qkv.lora_A.weight": (128, 3072),
        "double_blocks.0.img_attn.qkv.lora_B.weight": (9216, 128),
        "double_blocks.0.img_attn.qkv.lora_B.bias": (9216,),
    }
)
CONTROL_DIFFUSERS = _ones(
    {
        "transformer.x_embedder.lora_A.weight": (64, 128),
        "transformer.x_embedder.lora_B.weight": (3072, 64),
        "transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (64, 3072),
        "transformer.transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 64),
        "transformer.transformer_blocks.0.attn.norm_q.weight": (128,),
    }
)
ADAPTERS: dict[str, tuple[Tensors, str]] = {
    "a Control LoRA of FLUX": (CONTROL, "is a Control LoRA of FLUX (Canny, Depth)"),
    "the same, small": (
        _ones(
            {
                "img_in.lora_A.weight": (2, 8),
                "img_in.lora_B.weight": (4, 2),
                "img_in.lora_B.bias": (4,),
            }
        ),
        "is a Control LoRA of FLUX (Canny, Depth)",
    ),
    "the same without its first layer": (
        {name: tensor for name, tensor in CONTROL.items() if "img_in" not in name},
        "is a Control LoRA of FLUX (Canny, Depth)",
    ),
    "the same by diffusers": (CONTROL_DIFFUSERS, "is a Control LoRA of FLUX (Canny, Depth)"),
    "a LoRA with biases": (
        _ones({f"{KOHYA}.lora_down.weight": (4, 768), f"{KOHYA}.lora_up.weight": (320, 4)})
        | _ones({f"{KOHYA}.diff_b": (320,)}),
        "is a LoRA with biases",
    ),
    "a DoRA with biases": (
        _ones(
            {
                f"{KOHYA}.diff_b": (320,),
                f"{KOHYA}.dora_scale": (320, 1),
                f"{KOHYA}.lora_down.weight": (4, 768),
                f"{KOHYA}.lora_up.weight": (320, 4),
            }
        ),
        "is a LoRA with biases",
    ),
    "GLoRA": (_ones({f"{KOHYA}.a1.weight": (4, 768)}), "is a GLoRA adapter"),
    "OFT before peft 0.16": (
        _ones({"base_model.model.to_q.oft_R": (4, 80, 80), "base_model.model.to_q.oft_s": (4, 1)}),
        "is an OFT adapter",
    ),
    "VeRA": (_ones({"base_model.vera_A": (4, 8)}), "is a VeRA adapter"),
    "FourierFT": (
        _ones({"base_model.model.to_q.fourierft_spectrum": (4,)}),
        "is a FourierFT adapter",
    ),
    "whole differences": (_ones({f"{KOHYA}.diff": (320, 768)}), "is an adapter with whole diff"),
    "XLabs": (
        _ones({"double_blocks.0.processor.qkv_lora1.down.weight": (16, 3072)}),
        "is a LoRA in XLabs' names",
    ),
}
FILES: dict[str, tuple[Tensors, str]] = {
    "a ControlNet": (
        _ones({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}),
        "is a ControlNet",
    ),
    "a ControlNet of FLUX": (
        _ones({"controlnet_blocks.0.weight": (3072, 3072)}),
        "is a ControlNet",
    ),
    "Control-LoRA of Stability AI": (
        _ones({"lora_controlnet": (1,), "input_hint_block.0.weight": (16, 3, 3, 3)}),
        "is a ControlNet",
    ),
    "an IP-Adapter": (_ones({"image_proj.proj.weight": (3072, 1024)}), "is an IP-Adapter"),
    "an IP-Adapter of XL": (
        _ones({"ip_adapter.1.to_k_ip.weight": (640, 2048)}),
        "is an IP-Adapter",
    ),
    "a T2I-Adapter": (_ones({"adapter.body.0.in_conv.weight": (8, 8, 1, 1)}), "is a T2I-Adapter"),
    "a T2I-Adapter as published": (
        _ones({"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 192, 3, 3)}),
        "is a T2I-Adapter",
    ),
    "a motion module": (
        _ones({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}),
        "is a motion module of AnimateDiff",
    ),
    "a safety checker": (
        _ones({"concept_embeds": (17, 768), "special_care_embeds": (3, 768)}),
        "is a safety checker",
    ),
    "an image encoder": (
        _ones({"vision_model.pre_layrnorm.weight": (1280,), "visual_projection.weight": (4, 8)}),
        "is an image encoder",
    ),
    "an upscaler": (_ones({"conv_first.weight": (64, 3, 3, 3)}), "is an upscaler"),
    "a GLIGEN adapter": (_ones({"position_net.linears.0.weight": (8, 8)}), "is a GLIGEN adapter"),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("tensors", "words"), [*ADAPTERS.values(), *FILES.values()])
def test_a_kind_is_the_same_on_every_base(
    parts_of: PartsOf, tmp_path: Path, base: str, tensors: Tensors, words: str
) -> None:
    said = refusal(parts_of(base), save(tmp_path / "other.safetensors", tensors))
    assert f"other.safetensors {words}" in said
    assert "fits nothing" not in said


INVERSIONS: dict[str, tuple[Tensors, str]] = {
    "Stable Diffusion 1": ({"emb_params": torch.ones(2, 768)}, "768 (CLIP-L, "),
    "Stable Diffusion 2": ({"emb_params": torch.ones(4, 1024)}, "1024 (OpenCLIP-H, the encoder of"),
    "XL": (
        {"clip_g": torch.ones(2, 1280), "clip_l": torch.ones(2, 768)},
        "768 (CLIP-L, the encoder of Stable Diffusion 1) and 1280 (OpenCLIP-bigG, ",
    ),
    "a trainer's name": ({"cat-toy": torch.ones(1, 1024)}, "1024 (OpenCLIP-H"),
    "a token": ({"<cat-toy>": torch.ones(640)}, "640, and"),
    "the web user interface's": ({"string_to_param.*": torch.ones(8, 1024)}, "1024 (OpenCLIP-H"),
    "its table alone": ({"*": torch.ones(8, 1024)}, "1024 (OpenCLIP-H"),
    "T5's": ({"<style>": torch.ones(4, 4096)}, "4096 (T5-XXL, the encoder of FLUX)"),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("tensors", "words"), INVERSIONS.values(), ids=INVERSIONS)
def test_a_textual_inversion_of_another_width(
    parts_of: PartsOf, tmp_path: Path, base: str, tensors: Tensors, words: str
) -> None:
    said = refusal(parts_of(base), save(tmp_path / "token.safetensors", tensors))
    assert f"is an embedding of textual inversion for a text encoder of width {words}" in said
    assert "and the base's have " in said
    assert "does not change the base's weights" in said


def test_the_documents_rows_are_these() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split("### What is named and not applied")[1]
    lines = [line for line in text.split("## The fingerprint")[0].splitlines() if line[:1] == "|"]
    rows = {cells[1].strip(): cells[3].strip() for cells in (line.split("|") for line in lines[2:])}
    tested = {name: words for name, (_, words) in (*ADAPTERS.items(), *FILES.items())} | {
        "a textual inversion": "is an embedding of textual inversion for a text encoder of width",
        "a hypernetwork": "is a hypernetwork",
    }
    assert len(rows) > 15
    for name, words in rows.items():
        assert tested[name].startswith(words) or words.startswith(tested[name]), name
    # Variants of a kind are not listed one by one.
    assert len(tested) - len(rows) < 10


def test_a_textual_inversion_as_the_web_user_interface_saves_it(
    parts_of: PartsOf, tmp_path: Path
) -> None:
    content: Any = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.ones(8, 1024)},
        "name": "style",
        "step": 500,
        "sd_checkpoint": None,
    }
    torch.save(content, tmp_path / "style.pt")
    said = refusal(parts_of("sd1"), tmp_path / "style.pt")
    assert "textual inversion for a text encoder of width 1024" in said
    assert "and the base's have 16" in said


def test_a_hypernetwork(parts_of: PartsOf, tmp_path: Path) -> None:
    content: Any = {768: [{"linear.0.weight": torch.ones(4, 4)}] * 2, "step": 1, "name": "style"}
    torch.save(content, tmp_path / "style.pt")
    assert "style.pt is a hypernetwork" in refusal(parts_of("sd1"), tmp_path / "style.pt")
    said = refusal(
        parts_of("sd1"),
        save(tmp_path / "style.safetensors", {"768.0.linear.0.weight": torch.ones(4, 4)}),
    )
    assert "style.safetensors is a hypernetwork" in said


@pytest.mark.parametrize(
    ("tensors", "base", "words"),
    [
        # A UNet of another base, in diffusers' names and in its authors'.
        (
            _ones(
                {"down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048)}
            ),
            "sd1",
            "Its tensors are those of Stable Diffusion XL.",
        ),
        (
            _ones(
                {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024)}
            ),
            "sdxl",
            "Its tensors are those of Stable Diffusion 2.",
        ),
        (
            _ones({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}),
            "sd3",
            "Its tensors are those of FLUX.",
        ),
        (
            _ones({"joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)}),
            "flux",
            "Its tensors are those of Stable Diffusion 3.",
        ),
        (
            _ones({"distilled_guidance_layer.in_proj.weight": (5120, 64)}),
            "flux",
            "Its tensors are those of Chroma.",
        ),
        (
            _ones({"decoder.conv_in.weight": (512, 16, 3, 3), "quant_conv.weight": (8, 8, 1, 1)}),
            "sd1",
            "It is an autoencoder (VAE) alone.",
        ),
        # LoRAs of another base.
        (
            _ones({f"{KOHYA}.lora_down.weight": (4, 2048), f"{KOHYA}.lora_up.weight": (640, 4)}),
            "sd1",
            "It was made for Stable Diffusion XL.",
        ),
        (
            _ones(
                {
                    "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 3072),
                    "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": (9216, 4),
                }
            ),
            "sdxl",
            "It was made for FLUX.",
        ),
        (
            _ones(
                {
                    "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072),
                    "transformer.single_transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 4),
                }
            ),
            "sd3",
            "It was made for FLUX.",
        ),
        (
            _ones(
                {
                    "transformer.transformer_blocks.0.img_mod.1.lora_A.weight": (4, 3072),
                    "transformer.transformer_blocks.0.img_mod.1.lora_B.weight": (18432, 4),
                }
            ),
            "flux",
            "It was made for Qwen-Image.",
        ),
    ],
)
def test_what_was_made_for_another_family_says_for_which(
    parts_of: PartsOf, tmp_path: Path, tensors: Tensors, base: str, words: str
) -> None:
    said = refusal(parts_of(base), save(tmp_path / "other.safetensors", tensors))
    assert said.endswith(words)


def test_a_lora_that_fits_is_read_although_its_file_could_be_told(
    parts_of: PartsOf, tmp_path: Path
) -> None:
    """A LoRA of FLUX that changes the first layer is no Control LoRA."""
    tensors = _ones(
        {
            "transformer.x_embedder.lora_A.weight": (2, 64),
            "transformer.x_embedder.lora_B.weight": (32, 2),
        }
    )
    _, said = apply(parts_of("flux"), save(tmp_path / "lora.safetensors", tensors))
    assert "1 of the transformer's" in said
    with pytest.raises(InputError):
        apply(parts_of("sd3"), tmp_path / "lora.safetensors")
