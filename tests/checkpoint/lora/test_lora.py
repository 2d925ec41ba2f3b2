"""LoRAs in the names that kohya's trainer writes, and how they are merged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.checkpoint.lora import update
from tests.checkpoint.lora.files import (
    SD1_TEXT,
    SD1_UNET,
    fused,
    kohya,
    matrices,
    merged,
    peft,
    read,
    require_close,
    save,
)
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors, state
from tests.tiny import backbones


def require_added(
    ours: Tensors, before: Tensors, pairs: Mapping[str, tuple[Any, Any]], scale: float
) -> None:
    """Fail unless weights changed by scale x up x down, which defines a LoRA (arXiv 2106.09685).

    For modules that diffusers' converters do not know in every supported version.
    """
    for module, (down, up) in pairs.items():
        weight = before[f"{module}.weight"]
        update = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        torch.testing.assert_close(
            ours[f"{module}.weight"], weight + scale * update, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("alpha", [None, 1.5])
@pytest.mark.parametrize("rank", [1, 3])
def test_kohya_sd1(parts_of: PartsOf, tmp_path: Path, rank: int, alpha: float | None) -> None:
    pipeline = backbones.make("sd1")
    tensors = kohya("lora_unet", matrices(pipeline.unet, SD1_UNET, rank), alpha)
    tensors |= {
        name.replace("lora_te_", "lora_te_text_model_"): tensor
        for name, tensor in kohya(
            "lora_te", matrices(pipeline.text_encoder, SD1_TEXT, rank), alpha
        ).items()
    }
    file = save(tmp_path / "kohya.safetensors", tensors)
    parts = parts_of("sd1")
    found = read(file, parts)
    assert found.names == "kohya's"
    assert {update.scale for update in found.lora.updates} == {
        1.0 if alpha is None else alpha / rank
    }
    require_close(
        merged(parts, found.lora),
        fused("sd1", file.path),
        {"unet": len(SD1_UNET), "text_encoder": len(SD1_TEXT)},
    )


def test_kohya_loads_half_precision_and_alphas_of_any_float(
    parts_of: PartsOf, tmp_path: Path
) -> None:
    pairs = matrices(backbones.make("sd1").unet, SD1_UNET, dtype=torch.float16)
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64):
        tensors = kohya("lora_unet", pairs, 3)
        tensors = {
            name: tensor.to(dtype) if name.endswith("alpha") else tensor
            for name, tensor in tensors.items()
        }
        found = read(save(tmp_path / "half.safetensors", tensors), parts_of("sd1"))
        assert {update.scale for update in found.lora.updates} == {1.0}
    weights = merged(parts_of("sd1"), found.lora)["unet"]
    expected = (
        parts_of("sd1")
        .models["unet"]
        .tensors["mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"]
        .tensor()
    )
    down, up = pairs["mid_block.attentions.0.transformer_blocks.0.attn2.to_v"]
    expected = expected + up.float() @ down.float()
    torch.testing.assert_close(
        weights["mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"], expected
    )


def test_merging_keeps_the_dtype_of_the_weights(parts_of: PartsOf, tmp_path: Path) -> None:
    parts = parts_of("sd1")
    found = read(
        save(
            tmp_path / "a.safetensors",
            kohya("lora_unet", matrices(backbones.make("sd1").unet, SD1_UNET)),
        ),
        parts,
    )
    exact = merged(parts, found.lora, found.lora)["unet"]
    halves = {name: piece.tensor().half() for name, piece in parts.models["unet"].tensors.items()}
    update.merge(halves, "unet", (found.lora, found.lora))
    for name, tensor in halves.items():
        assert tensor.dtype == torch.float16
        torch.testing.assert_close(tensor.float(), exact[name], rtol=2e-3, atol=2e-3)


# The authors' names of an XL UNet's modules, as kohya's trainer writes them.
SDXL = {
    "input_blocks_0_0": "conv_in",
    "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
    "input_blocks_2_0_op": "down_blocks.0.downsamplers.0.conv",
    "input_blocks_3_0_emb_layers_1": "down_blocks.1.resnets.0.time_emb_proj",
    "input_blocks_3_0_out_layers_3": "down_blocks.1.resnets.0.conv2",
    "input_blocks_3_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
    "input_blocks_3_1_proj_in": "down_blocks.1.attentions.0.proj_in",
    "input_blocks_3_1_transformer_blocks_0_attn1_to_q": (
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    ),
    "input_blocks_3_1_transformer_blocks_1_ff_net_0_proj": (
        "down_blocks.1.attentions.0.transformer_blocks.1.ff.net.0.proj"
    ),
    "middle_block_1_transformer_blocks_1_attn2_to_out_0": (
        "mid_block.attentions.0.transformer_blocks.1.attn2.to_out.0"
    ),
    "middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
    "output_blocks_0_1_proj_out": "up_blocks.0.attentions.0.proj_out",
    "output_blocks_1_1_transformer_blocks_0_attn2_to_k": (
        "up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k"
    ),
}


def test_kohya_sdxl_in_the_authors_names(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = backbones.make("sdxl")
    pairs = matrices(pipeline.unet, tuple(SDXL.values()))
    tensors = kohya(
        "lora_unet",
        {name: pairs[module] for name, module in SDXL.items() if module != "conv_in"},
        6.0,
    )
    for number, model in (("1", pipeline.text_encoder), ("2", pipeline.text_encoder_2)):
        text = {f"text_model.{module}": pair for module, pair in matrices(model, SD1_TEXT).items()}
        tensors |= kohya(f"lora_te{number}", text, 6.0)
    file = save(tmp_path / "xl.safetensors", tensors)
    found = read(file, parts_of("sdxl"))
    count = {"unet": len(SDXL) - 1, "text_encoder": len(SD1_TEXT), "text_encoder_2": len(SD1_TEXT)}
    require_close(merged(parts_of("sdxl"), found.lora), fused("sdxl", file.path), count)
    first = save(
        tmp_path / "first.safetensors",
        kohya("lora_unet", {"input_blocks_0_0": pairs["conv_in"]}, 6.0),
    )
    ours = merged(parts_of("sdxl"), read(first, parts_of("sdxl")).lora)
    require_added(ours["unet"], state(pipeline.unet), {"conv_in": pairs["conv_in"]}, 6.0 / 3)


FLUX = {
    "double_blocks_0_img_attn_qkv": tuple(f"transformer_blocks.0.attn.to_{x}" for x in "qkv"),
    "double_blocks_0_txt_attn_qkv": tuple(f"transformer_blocks.0.attn.add_{x}_proj" for x in "qkv"),
    "double_blocks_0_img_attn_proj": ("transformer_blocks.0.attn.to_out.0",),
    "double_blocks_0_txt_mlp_2": ("transformer_blocks.0.ff_context.net.2",),
    "double_blocks_0_img_mod_lin": ("transformer_blocks.0.norm1.linear",),
    "single_blocks_1_linear2": ("single_transformer_blocks.1.proj_out",),
    "single_blocks_1_modulation_lin": ("single_transformer_blocks.1.norm.linear",),
}


def authors_flux(
    pipeline: Any, names: Mapping[str, tuple[str, ...]], rank: int = 2
) -> dict[str, tuple[Any, Any]]:
    """Random down and up matrices of the authors' modules; some hold several of diffusers'."""
    generator = torch.Generator().manual_seed(rank)
    weights = state(pipeline.transformer)
    found = {}
    for name, modules in names.items():
        rows = sum(weights[f"{module}.weight"].shape[0] for module in modules)
        width = weights[f"{modules[0]}.weight"].shape[1]
        found[name] = (
            torch.randn(rank, width, generator=generator),
            torch.randn(rows, rank, generator=generator),
        )
    return found


def test_kohya_flux_in_the_authors_names(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = backbones.make("flux")
    tensors = kohya("lora_unet", authors_flux(pipeline, FLUX), 1.0)
    pairs = matrices(pipeline.text_encoder, SD1_TEXT)
    text = {f"text_model.{module}": pair for module, pair in pairs.items()}
    file = save(tmp_path / "flux.safetensors", tensors | kohya("lora_te1", text, 1.5))
    ours = merged(parts_of("flux"), read(file, parts_of("flux")).lora)
    require_added(ours.pop("text_encoder"), state(pipeline.text_encoder), pairs, 1.5 / 3)
    count = {"transformer": sum(len(modules) for modules in FLUX.values())}
    require_close(ours, fused("flux", file.path), count)


def test_flux_modules_that_hold_several_of_ours(parts_of: PartsOf, tmp_path: Path) -> None:
    # diffusers' converter knows these at the published sizes only.
    single = [
        f"single_transformer_blocks.0.{part}"
        for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    ]
    pipeline = backbones.make("flux")
    names = {
        "single_blocks.0.linear1": tuple(single),
        "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    }
    pairs = authors_flux(pipeline, names)
    t5 = matrices(
        pipeline.text_encoder_2,
        ("encoder.block.1.layer.0.SelfAttention.q", "encoder.block.0.layer.1.DenseReluDense.wo"),
    )
    dotted = {
        name.replace(".lora_A.", ".lora_down.").replace(".lora_B.", ".lora_up."): tensor
        for name, tensor in peft("diffusion_model.", pairs).items()
    }
    joined = kohya("lora_unet", pairs)
    weights = state(pipeline.transformer)
    for tensors in (dotted, joined):
        found = read(
            save(tmp_path / "flux.safetensors", tensors | kohya("lora_te3", t5)), parts_of("flux")
        )
        ours = merged(parts_of("flux"), found.lora)
        down, up = pairs["single_blocks.0.linear1"]
        expected = torch.cat([weights[f"{module}.weight"] for module in single]) + up @ down
        torch.testing.assert_close(
            torch.cat([ours["transformer"][f"{module}.weight"] for module in single]), expected
        )
        down, up = pairs["final_layer.adaLN_modulation.1"]
        shift, scale = (up @ down).chunk(2)
        expected = weights["norm_out.linear.weight"] + torch.cat([scale, shift])
        torch.testing.assert_close(ours["transformer"]["norm_out.linear.weight"], expected)
        for module, (down, up) in t5.items():
            expected = state(pipeline.text_encoder_2)[f"{module}.weight"] + up @ down
            torch.testing.assert_close(ours["text_encoder_2"][f"{module}.weight"], expected)


def test_kohya_sd3_in_the_authors_names(parts_of: PartsOf, tmp_path: Path) -> None:
    weights = state(backbones.make("sd3").transformer)
    names = {
        "joint_blocks_0_x_block_attn_qkv": tuple(
            f"transformer_blocks.0.attn.to_{x}.weight" for x in "qkv"
        ),
        "joint_blocks_1_context_block_attn_qkv": tuple(
            f"transformer_blocks.1.attn.add_{x}_proj.weight" for x in "qkv"
        ),
        "joint_blocks_0_context_block_mlp_fc1": (
            "transformer_blocks.0.ff_context.net.0.proj.weight",
        ),
    }
    down, up = torch.randn(2, 16), torch.randn(64, 2)
    pairs = {
        name: (down, up[: sum(weights[part].shape[0] for part in held)])
        for name, held in names.items()
    }
    found = read(save(tmp_path / "sd3.safetensors", kohya("lora_unet", pairs, 4)), parts_of("sd3"))
    ours = merged(parts_of("sd3"), found.lora)["transformer"]
    for name, held in names.items():
        expected = torch.cat([weights[part] for part in held]) + 2 * pairs[name][1] @ down
        torch.testing.assert_close(torch.cat([ours[part] for part in held]), expected)
    assert sum(not torch.equal(ours[name], weight) for name, weight in weights.items()) == 7
