import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import pipeline_folder
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.lora import update
from spqr_tests.checkpoint.lora.file import LoraFile
from spqr_tests.checkpoint.lora.file import read as read_lora
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from spqr_tests.store import json_file
from tests.tiny import backbones

Tensors = dict[str, torch.Tensor]
Folders = Callable[[str], Path]
# Modules of every kind, in diffusers' names: linear, convolutions of 1 x 1 and 3 x 3, and the text
# encoder's.
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0"
SD1_UNET = (
    f"{ATTENTION}.attn1.to_q",
    f"{ATTENTION}.attn2.to_k",
    f"{ATTENTION}.attn2.to_out.0",
    f"{ATTENTION}.ff.net.0.proj",
    f"{ATTENTION}.ff.net.2",
    "down_blocks.0.attentions.0.proj_in",
    "down_blocks.0.resnets.0.conv1",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
)
SD1_TEXT = (
    "encoder.layers.0.self_attn.q_proj",
    "encoder.layers.1.self_attn.out_proj",
    "encoder.layers.1.mlp.fc1",
)


@pytest.fixture(scope="session")
def base(pipeline_folder_of: Folders) -> Callable[[str], Parts]:
    return cache(
        lambda name: pipeline_folder.read(
            "base", pipeline_folder_of(name), BACKBONES, allow_pickle=False
        )
    )


def state(model: Any) -> Tensors:
    return {
        name.removeprefix("text_model."): tensor
        for name, tensor in model.state_dict().items()
        if name != "encoder.embed_tokens.weight" and not name.endswith("position_ids")
    }


def matrices(
    model: Any, modules: tuple[str, ...], rank: int = 3, *, dtype: torch.dtype = torch.float32
) -> dict[str, tuple[Any, Any]]:
    """Random down and up of each module."""
    generator = torch.Generator().manual_seed(rank)
    weights = state(model)
    found = {}
    for module in modules:
        weight = weights[f"{module}.weight"]
        ones = (1,) * (weight.ndim - 2)
        down = 0.3 * torch.randn(rank, *weight.shape[1:], generator=generator)
        found[module] = (
            down.to(dtype),
            torch.randn(weight.shape[0], rank, *ones, generator=generator).to(dtype),
        )
    return found


def kohya(prefix: str, pairs: Mapping[str, tuple[Any, Any]], alpha: float | None = None) -> Tensors:
    tensors = {}
    for module, (down, up) in pairs.items():
        name = f"{prefix}_{module.replace('.', '_')}"
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors


def peft(prefix: str, pairs: Mapping[str, tuple[Any, Any]]) -> Tensors:
    return {
        name: tensor
        for module, (down, up) in pairs.items()
        for name, tensor in (
            (f"{prefix}{module}.lora_A.weight", down),
            (f"{prefix}{module}.lora_B.weight", up),
        )
    }


def save(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> SafetensorsFile:
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, metadata)
    return SafetensorsFile(path)


def read(file: SafetensorsFile, parts: Parts, config: Mapping[str, Any] | None = None) -> LoraFile:
    found = read_lora(file, parts, config)
    assert found is not None
    return found


def merged(parts: Parts, *loras: update.Lora) -> dict[str, Tensors]:
    result = {}
    for component, model in parts.models.items():
        tensors = {name: piece.tensor() for name, piece in model.tensors.items()}
        update.merge(tensors, component, loras)
        result[component] = tensors
    return result


def require_close(ours: dict[str, Tensors], pipeline: Any, changed: Mapping[str, int]) -> None:
    """Equal to the pipeline's weights to float precision, and `changed` of them, by component, are not the base's."""
    for component, tensors in ours.items():
        theirs = state(getattr(pipeline, component))
        assert tensors.keys() == theirs.keys()
        for name, tensor in tensors.items():
            torch.testing.assert_close(
                tensor, theirs[name], rtol=1e-5, atol=1e-6, msg=f"{component}.{name}"
            )
    base = backbones.make(NAMES[type(pipeline).__name__])
    for component, tensors in ours.items():
        before = state(getattr(base, component))
        assert sum(
            not torch.equal(tensor, before[name]) for name, tensor in tensors.items()
        ) == changed.get(component, 0)


def require_added(
    ours: Tensors, before: Tensors, pairs: Mapping[str, tuple[Any, Any]], scale: float
) -> None:
    """What the definition of a LoRA says, for modules that older converters of diffusers leave out or stop at."""
    for module, (down, up) in pairs.items():
        weight = before[f"{module}.weight"]
        update = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        torch.testing.assert_close(
            ours[f"{module}.weight"], weight + scale * update, rtol=1e-5, atol=1e-6
        )


NAMES = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
}


def fused(name: str, path: Path) -> Any:
    """What diffusers makes of a LoRA file."""
    pipeline = backbones.make(name)
    pipeline.load_lora_weights(path)
    # FLUX leaves its text encoder out unless it is named.
    pipeline.fuse_lora(
        ["transformer", "text_encoder"] if name == "flux" else list(pipeline._lora_loadable_modules)
    )
    pipeline.unload_lora_weights()
    return pipeline


@pytest.mark.parametrize("alpha", [None, 1.5])
@pytest.mark.parametrize("rank", [1, 3])
def test_kohya_sd1(
    base: Callable[[str], Parts], tmp_path: Path, rank: int, alpha: float | None
) -> None:
    pipeline = backbones.make("sd1")
    tensors = kohya("lora_unet", matrices(pipeline.unet, SD1_UNET, rank), alpha)
    tensors |= {
        name.replace("lora_te_", "lora_te_text_model_"): tensor
        for name, tensor in kohya(
            "lora_te", matrices(pipeline.text_encoder, SD1_TEXT, rank), alpha
        ).items()
    }
    file = save(tmp_path / "kohya.safetensors", tensors)
    parts = base("sd1")
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
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    pairs = matrices(backbones.make("sd1").unet, SD1_UNET, dtype=torch.float16)
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64):
        tensors = kohya("lora_unet", pairs, 3)
        tensors = {
            name: tensor.to(dtype) if name.endswith("alpha") else tensor
            for name, tensor in tensors.items()
        }
        found = read(save(tmp_path / "half.safetensors", tensors), base("sd1"))
        assert {update.scale for update in found.lora.updates} == {1.0}
    weights = merged(base("sd1"), found.lora)["unet"]
    expected = (
        base("sd1")
        .models["unet"]
        .tensors["mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"]
        .tensor()
    )
    down, up = pairs["mid_block.attentions.0.transformer_blocks.0.attn2.to_v"]
    expected = expected + up.float() @ down.float()
    torch.testing.assert_close(
        weights["mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"], expected
    )


def test_merging_keeps_the_dtype_of_the_weights(
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    parts = base("sd1")
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


def test_kohya_sdxl_in_the_authors_names(base: Callable[[str], Parts], tmp_path: Path) -> None:
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
    found = read(file, base("sdxl"))
    count = {"unet": len(SDXL) - 1, "text_encoder": len(SD1_TEXT), "text_encoder_2": len(SD1_TEXT)}
    require_close(merged(base("sdxl"), found.lora), fused("sdxl", file.path), count)
    first = save(
        tmp_path / "first.safetensors",
        kohya("lora_unet", {"input_blocks_0_0": pairs["conv_in"]}, 6.0),
    )
    ours = merged(base("sdxl"), read(first, base("sdxl")).lora)
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
    """Random down and up of the authors' modules, some of which hold several of ours."""
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


def test_kohya_flux_in_the_authors_names(base: Callable[[str], Parts], tmp_path: Path) -> None:
    pipeline = backbones.make("flux")
    tensors = kohya("lora_unet", authors_flux(pipeline, FLUX), 1.0)
    pairs = matrices(pipeline.text_encoder, SD1_TEXT)
    text = {f"text_model.{module}": pair for module, pair in pairs.items()}
    file = save(tmp_path / "flux.safetensors", tensors | kohya("lora_te1", text, 1.5))
    ours = merged(base("flux"), read(file, base("flux")).lora)
    require_added(ours.pop("text_encoder"), state(pipeline.text_encoder), pairs, 1.5 / 3)
    count = {"transformer": sum(len(modules) for modules in FLUX.values())}
    require_close(ours, fused("flux", file.path), count)


def test_flux_modules_that_hold_several_of_ours(
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    # diffusers' converter knows these for the published sizes alone.
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
            save(tmp_path / "flux.safetensors", tensors | kohya("lora_te3", t5)), base("flux")
        )
        ours = merged(base("flux"), found.lora)
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


SD3 = (
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.add_k_proj",
    "transformer_blocks.1.ff.net.0.proj",
)


@pytest.mark.parametrize(
    ("name", "modules"),
    [("sd3", SD3), ("flux", (*SD3[:2], "single_transformer_blocks.1.attn.to_v"))],
)
def test_peft_names_of_transformers(
    base: Callable[[str], Parts], tmp_path: Path, name: str, modules: tuple[str, ...]
) -> None:
    pipeline = backbones.make(name)
    tensors = peft("transformer.", matrices(pipeline.transformer, modules))
    tensors |= peft("text_encoder.text_model.", matrices(pipeline.text_encoder, SD1_TEXT))
    count = {"transformer": len(modules), "text_encoder": len(SD1_TEXT)}
    if name == "sd3":
        tensors |= peft("text_encoder_2.text_model.", matrices(pipeline.text_encoder_2, SD1_TEXT))
        count["text_encoder_2"] = len(SD1_TEXT)
    file = save(tmp_path / "peft.safetensors", tensors)
    found = read(file, base(name))
    assert found.names == "peft's"
    require_close(merged(base(name), found.lora), fused(name, file.path), count)


def older(prefix: str, pairs: Mapping[str, tuple[Any, Any]]) -> Tensors:
    """diffusers' first names, of attention processors."""
    renamed = {
        "q_proj": "to_q",
        "k_proj": "to_k",
        "v_proj": "to_v",
        "out_proj": "to_out",
        "0": "to_out",
    }
    tensors = {}
    for module, (down, up) in pairs.items():
        stem, _, leaf = module.removesuffix(".0").rpartition(".")
        processor = "" if "self_attn" in stem else "processor."
        name = f"{prefix}{stem}.{processor}{renamed.get(leaf, leaf)}_lora"
        tensors |= {f"{name}.down.weight": down, f"{name}.up.weight": up}
    return tensors


def newer(prefix: str, pairs: Mapping[str, tuple[Any, Any]], layer: str = "lora") -> Tensors:
    """diffusers' second names."""
    tensors = {}
    for module, (down, up) in pairs.items():
        tensors |= {
            f"{prefix}{module}.{layer}.down.weight": down,
            f"{prefix}{module}.{layer}.up.weight": up,
        }
    return tensors


LINEAR = tuple(module for module in SD1_UNET if ".attn" in module)
ATTENTIONS = SD1_TEXT[:2]


def test_diffusers_names(base: Callable[[str], Parts], tmp_path: Path) -> None:
    pipeline = backbones.make("sd1")
    unet, text = matrices(pipeline.unet, LINEAR), matrices(pipeline.text_encoder, ATTENTIONS)
    files = {
        "diffusers' older": older("unet.", unet) | older("text_encoder.text_model.", text),
        "diffusers'": (
            newer("unet.", unet) | newer("text_encoder.text_model.", text, "lora_linear_layer")
        ),
    }
    for names, tensors in files.items():
        file = save(tmp_path / "diffusers.safetensors", tensors)
        found = read(file, base("sd1"))
        assert found.names == names
        require_close(
            merged(base("sd1"), found.lora),
            fused("sd1", file.path),
            {"unet": len(LINEAR), "text_encoder": 2},
        )


def test_one_adapter_has_one_digest_in_every_naming(
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    pairs = matrices(backbones.make("sd1").unet, LINEAR)
    namings = [
        kohya("lora_unet", pairs),
        kohya("lora_unet", pairs, 3.0),
        peft("unet.", pairs),
        peft("base_model.model.", pairs),
        peft("base_model.model.unet.", pairs),
        {
            name.replace(".weight", ".default.weight"): tensor
            for name, tensor in peft("unet.", pairs).items()
        },
        newer("unet.", pairs),
        newer("", pairs),
        older("unet.", pairs),
    ]
    digests = {
        read(save(tmp_path / "a.safetensors", tensors), base("sd1")).lora.digest()
        for tensors in namings
    }
    assert len(digests) == 1
    others = [
        kohya("lora_unet", pairs, 1.5),
        kohya("lora_unet", matrices(backbones.make("sd1").unet, LINEAR[1:])),
    ]
    assert (
        len(
            digests
            | {
                read(save(tmp_path / "b.safetensors", tensors), base("sd1")).lora.digest()
                for tensors in others
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 8},
        {"r": 4, "lora_alpha": 8, "use_rslora": True},
        {
            "r": 4,
            "lora_alpha": 2,
            "rank_pattern": {"to_k": 2},
            "alpha_pattern": {"attn1.to_q": 16, "attn2.to_k": 1},
        },
        {
            "r": 2,
            "lora_alpha": 3,
            "target_modules": ["proj_in", "conv1"],
            "init_lora_weights": "gaussian",
        },
    ],
)
def test_peft_folder(
    base: Callable[[str], Parts], tmp_path: Path, settings: dict[str, Any]
) -> None:
    pipeline = backbones.make("sd1")
    model = get_peft_model(
        pipeline.unet, LoraConfig(**{"target_modules": ["to_q", "to_k"], **settings})
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path)
    pipeline.unet = model.merge_and_unload()
    config = json_file.read(tmp_path / "adapter_config.json")
    found = read(SafetensorsFile(tmp_path / "adapter_model.safetensors"), base("sd1"), config)
    require_close(merged(base("sd1"), found.lora), pipeline, {"unet": len(found.lora.updates)})


@pytest.mark.parametrize("name", ["sd1", "sdxl", "flux"])
def test_metadata_that_diffusers_saves(
    base: Callable[[str], Parts], tmp_path: Path, name: str
) -> None:
    pipeline = backbones.make(name)
    component = "transformer" if name == "flux" else "unet"
    model = getattr(pipeline, component)
    torch.manual_seed(1)
    config = LoraConfig(
        r=2, lora_alpha=7, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"
    )
    model.add_adapter(config)
    # By peft itself: transformers 5.24 asks for a peft that is not released yet before it adds one.
    config = LoraConfig(r=4, lora_alpha=1, target_modules=["q_proj"], init_lora_weights="gaussian")
    inject_adapter_in_model(config, pipeline.text_encoder, "default")
    for one in (model, pipeline.text_encoder):
        for key, parameter in one.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter)
    save_lora(pipeline, component, tmp_path)
    file = SafetensorsFile(tmp_path / "pytorch_lora_weights.safetensors")
    found = read(file, base(name))
    assert {update.scale for update in found.lora.updates} == {3.5, 0.25}
    components = [update.component for update in found.lora.updates]
    require_close(
        merged(base(name), found.lora),
        fused(name, file.path),
        {each: components.count(each) for each in set(components)},
    )


def save_lora(pipeline: Any, component: str, folder: Path) -> None:
    from diffusers.training_utils import _collate_lora_metadata
    from peft.utils import get_peft_model_state_dict

    models = {component: getattr(pipeline, component), "text_encoder": pipeline.text_encoder}
    pipeline.save_lora_weights(
        folder,
        **{
            f"{name}_lora_layers": get_peft_model_state_dict(model)
            for name, model in models.items()
        },
        **_collate_lora_metadata(models),
    )


def test_kohya_sd3_in_the_authors_names(base: Callable[[str], Parts], tmp_path: Path) -> None:
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
    found = read(save(tmp_path / "sd3.safetensors", kohya("lora_unet", pairs, 4)), base("sd3"))
    ours = merged(base("sd3"), found.lora)["transformer"]
    for name, held in names.items():
        expected = torch.cat([weights[part] for part in held]) + 2 * pairs[name][1] @ down
        torch.testing.assert_close(torch.cat([ours[part] for part in held]), expected)
    assert sum(not torch.equal(ours[name], weight) for name, weight in weights.items()) == 7


Q = f"unet.{ATTENTION}.attn1.to_q"
PAIR = {f"{Q}.lora_A.weight": torch.ones(2, 8), f"{Q}.lora_B.weight": torch.ones(8, 2)}
KOHYA = f"lora_unet_{ATTENTION.replace('.', '_')}_attn1_to_q"
DOWN, UP = f"{KOHYA}.lora_down.weight", f"{KOHYA}.lora_up.weight"
KOHYA_PAIR = {DOWN: torch.ones(2, 8), UP: torch.ones(8, 2)}


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({**KOHYA_PAIR, f"{KOHYA}.dora_scale": torch.ones(1, 8)}, ["DoRA", "dora_scale"]),
        ({**PAIR, f"{Q}.lora_magnitude_vector": torch.ones(8)}, ["DoRA", "lora_magnitude_vector"]),
        (
            {f"{KOHYA}.hada_w1_a": torch.ones(8, 2), f"{KOHYA}.alpha": torch.ones(())},
            ["LoHa", "hada_w1_a"],
        ),
        ({f"{KOHYA}.lokr_w1": torch.ones(8, 2)}, ["LoKr", "lokr_w1"]),
        (
            {**KOHYA_PAIR, f"{KOHYA}.lora_mid.weight": torch.ones(2, 2, 3, 3)},
            ["Tucker", "lora_mid"],
        ),
        ({**KOHYA_PAIR, f"{KOHYA}.diff_b": torch.ones(8)}, ["biases", "diff_b"]),
        ({**PAIR, f"{Q}.lora_B.bias": torch.ones(8)}, ["biases", "lora_B.bias"]),
        (
            {"double_blocks.0.processor.qkv_lora1.down.weight": torch.ones(2, 8)},
            ["XLabs", "qkv_lora1"],
        ),
        ({f"{KOHYA}.diff": torch.ones(8, 8)}, ["whole differences"]),
        ({DOWN: torch.ones(2, 8)}, ["damaged", "lora_down", "up matrix"]),
        ({UP: torch.ones(8, 2)}, ["damaged", "lora_up", "down matrix"]),
        ({**KOHYA_PAIR, "lora_unet_x.alpha": torch.ones(())}, ["damaged", "lora_unet_x.alpha"]),
        ({DOWN: torch.ones(2, 8), UP: torch.ones(8, 3)}, ["no rank in common", "[8, 3]", "[2, 8]"]),
        (
            {DOWN: torch.ones(2, 10), UP: torch.ones(8, 2)},
            ["another base", "[8, 10]", "the unet's", "[8, 8]"],
        ),
        (
            {DOWN: torch.ones(2, 8, 3, 3), UP: torch.ones(8, 2, 1, 1)},
            ["another base", "[8, 8, 3, 3]"],
        ),
        ({DOWN: torch.ones(2, 8), UP: torch.ones(2)}, ["two axes"]),
        (
            {**KOHYA_PAIR, "lora_unet_x.lora_down.weight": torch.ones(2, 8)},
            ["damaged", "lora_unet_x"],
        ),
        (
            {
                **KOHYA_PAIR,
                **{name.replace("to_q", "to_x"): tensor for name, tensor in KOHYA_PAIR.items()},
            },
            ["another base", "1 of its 2 modules", "to_x"],
        ),
        (
            {
                name.replace("lora_unet", "lora_te2_text_model"): tensor
                for name, tensor in KOHYA_PAIR.items()
            },
            ["another base", "0 of its 1 modules", "lora_te2"],
        ),
        (
            {**KOHYA_PAIR, "bundle_emb.cat.string_to_param.*": torch.ones(1, 16)},
            ["2 of 3", "bundle_emb"],
        ),
        ({**KOHYA_PAIR, f"{KOHYA}.alpha": torch.zeros(())}, ["alpha", "above 0"]),
        ({**KOHYA_PAIR, f"{KOHYA}.alpha": torch.tensor(float("nan"))}, ["alpha", "above 0"]),
        ({**KOHYA_PAIR, f"{KOHYA}.alpha": torch.ones(2)}, ["alpha", "one number"]),
        (
            {DOWN: torch.ones(2, 8, dtype=torch.int8), UP: torch.ones(8, 2)},
            ["I8", "floating-point"],
        ),
        ({DOWN: torch.ones(2, 8), UP: torch.zeros(8, 2)}, ["changes nothing", "zero"]),
        ({**PAIR, **KOHYA_PAIR}, ["twice", "to_q"]),
        (
            {
                **PAIR,
                **{
                    name.replace(".weight", ".other.weight"): tensor
                    for name, tensor in PAIR.items()
                },
            },
            ["several adapters", "to_q"],
        ),
    ],
)
def test_what_is_refused(
    base: Callable[[str], Parts], tmp_path: Path, tensors: Tensors, says: list[str]
) -> None:
    file = save(tmp_path / "refused.safetensors", tensors)
    with pytest.raises(InputError) as refusal:
        read_lora(file, base("sd1"))
    for words in ("refused.safetensors", *says):
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"peft_type": "LOHA"}, ["the type LOHA"]),
        ({"r": 2, "use_dora": True}, ["use_dora"]),
        ({"r": 2, "lora_bias": True}, ["lora_bias"]),
        (
            {"r": 2, "init_lora_weights": "pissa_niter_4"},
            ["pissa_niter_4", "changes the base's weights"],
        ),
        ({"r": 4}, ["rank 2", "says 4"]),
        ({"r": 2, "lora_alpha": "much"}, ["lora_alpha = 'much'"]),
        ({"r": 2, "lora_alpha": -1}, ["lora_alpha = -1"]),
        ({"r": 2, "alpha_pattern": [1]}, ["alpha_pattern", "not a table"]),
        ({"r": 2, "alpha_pattern": {"(a+)+$": 1}}, ["alpha_pattern", "(a+)+$"]),
    ],
)
def test_configs_that_are_refused(
    base: Callable[[str], Parts], tmp_path: Path, config: dict[str, Any], says: list[str]
) -> None:
    file = save(tmp_path / "adapter_model.safetensors", PAIR)
    with pytest.raises(InputError) as refusal:
        read_lora(file, base("sd1"), config)
    metadata = {
        "lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in config.items()})
    }
    with pytest.raises(InputError) as same:
        read_lora(save(tmp_path / "adapter_model.safetensors", PAIR, metadata), base("sd1"))
    assert str(same.value) == str(refusal.value)
    for words in ("adapter_model.safetensors", *says):
        assert words in str(refusal.value)


def test_metadata_that_is_refused(base: Callable[[str], Parts], tmp_path: Path) -> None:
    for text in ("[1]", "{", "[" * 5000):
        file = save(tmp_path / "meta.safetensors", PAIR, {"lora_adapter_metadata": text})
        with pytest.raises(InputError, match="lora_adapter_metadata is not a JSON table"):
            read_lora(file, base("sd1"))
    twice = save(
        tmp_path / "meta.safetensors",
        PAIR | {f"{Q}.alpha": torch.ones(())},
        {"lora_adapter_metadata": '{"unet.r": 2, "unet.lora_alpha": 2}'},
    )
    with pytest.raises(InputError, match="says twice by how much"):
        read_lora(twice, base("sd1"))


def test_text_encoders_are_told_apart_by_their_shapes(
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    parts = base("sdxl")
    for component, width in (("text_encoder", 16), ("text_encoder_2", 24)):
        name = "base_model.model.text_model.encoder.layers.0.mlp.fc2"
        tensors = {
            f"{name}.lora_A.weight": torch.ones(1, 2 * width),
            f"{name}.lora_B.weight": torch.ones(width, 1),
        }
        updates = read(save(tmp_path / "te.safetensors", tensors), parts).lora.updates
        assert [(update.component, update.tensor) for update in updates] == [
            (component, "encoder.layers.0.mlp.fc2.weight")
        ]


def test_text_encoders_of_one_shape_must_be_named(
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    parts = base("sdxl")
    twin = replace(parts.models["text_encoder"], name="text_encoder_2")
    twins = replace(parts, models={**parts.models, "text_encoder_2": twin})
    name = "encoder.layers.0.mlp.fc2"
    tensors = {
        f"{name}.lora_A.weight": torch.ones(1, 32),
        f"{name}.lora_B.weight": torch.ones(16, 1),
    }
    with pytest.raises(
        InputError,
        match=(
            r"does not say whether encoder\.layers\.0\.mlp\.fc2 is the text_encoder's or the"
            r" text_encoder_2's"
        ),
    ):
        read_lora(save(tmp_path / "te.safetensors", tensors), twins)


def test_values_that_are_not_finite_are_refused(
    base: Callable[[str], Parts], tmp_path: Path
) -> None:
    found = read(
        save(
            tmp_path / "nan.safetensors",
            {DOWN: torch.full((2, 8), torch.nan), UP: torch.ones(8, 2)},
        ),
        base("sd1"),
    )
    with pytest.raises(
        InputError, match=r"nan\.safetensors adds values that are not finite to the unet's .*to_q"
    ):
        merged(base("sd1"), found.lora)


def test_other_files_are_no_adapters(base: Callable[[str], Parts], tmp_path: Path) -> None:
    assert (
        read_lora(
            save(tmp_path / "a.safetensors", {"conv_in.weight": torch.ones(8, 4, 3, 3)}),
            base("sd1"),
        )
        is None
    )
