"""LoRAs in the names of peft and diffusers, as these save them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model

from spqr_tests import files
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
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
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors
from tests.tiny import backbones

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
    parts_of: PartsOf, tmp_path: Path, name: str, modules: tuple[str, ...]
) -> None:
    pipeline = backbones.make(name)
    tensors = peft("transformer.", matrices(pipeline.transformer, modules))
    tensors |= peft("text_encoder.text_model.", matrices(pipeline.text_encoder, SD1_TEXT))
    count = {"transformer": len(modules), "text_encoder": len(SD1_TEXT)}
    if name == "sd3":
        tensors |= peft("text_encoder_2.text_model.", matrices(pipeline.text_encoder_2, SD1_TEXT))
        count["text_encoder_2"] = len(SD1_TEXT)
    file = save(tmp_path / "peft.safetensors", tensors)
    found = read(file, parts_of(name))
    assert found.names == "peft's"
    require_close(merged(parts_of(name), found.lora), fused(name, file.path), count)


LINEAR = tuple(module for module in SD1_UNET if ".attn" in module)
ATTENTIONS = SD1_TEXT[:2]


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


def test_diffusers_names(parts_of: PartsOf, tmp_path: Path) -> None:
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
        found = read(file, parts_of("sd1"))
        assert found.names == names
        require_close(
            merged(parts_of("sd1"), found.lora),
            fused("sd1", file.path),
            {"unet": len(LINEAR), "text_encoder": 2},
        )


def test_one_adapter_has_one_digest_in_every_naming(parts_of: PartsOf, tmp_path: Path) -> None:
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
        read(save(tmp_path / "a.safetensors", tensors), parts_of("sd1")).lora.digest()
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
                read(save(tmp_path / "b.safetensors", tensors), parts_of("sd1")).lora.digest()
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
def test_peft_folder(parts_of: PartsOf, tmp_path: Path, settings: dict[str, Any]) -> None:
    pipeline = backbones.make("sd1")
    model = get_peft_model(
        pipeline.unet, LoraConfig(**{"target_modules": ["to_q", "to_k"], **settings})
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path)
    pipeline.unet = model.merge_and_unload()
    config = files.json_object(tmp_path / "adapter_config.json")
    found = read(SafetensorsFile(tmp_path / "adapter_model.safetensors"), parts_of("sd1"), config)
    require_close(merged(parts_of("sd1"), found.lora), pipeline, {"unet": len(found.lora.updates)})


@pytest.mark.parametrize("name", ["sd1", "sdxl", "flux"])
def test_metadata_that_diffusers_saves(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    pipeline = backbones.make(name)
    component = "transformer" if name == "flux" else "unet"
    model = getattr(pipeline, component)
    torch.manual_seed(1)
    config = LoraConfig(
        r=2, lora_alpha=7, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"
    )
    model.add_adapter(config)
    # By peft itself, because transformers 5.24 demands a peft that is not released yet.
    config = LoraConfig(r=4, lora_alpha=1, target_modules=["q_proj"], init_lora_weights="gaussian")
    inject_adapter_in_model(config, pipeline.text_encoder, "default")
    for one in (model, pipeline.text_encoder):
        for key, parameter in one.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter)
    save_lora(pipeline, component, tmp_path)
    file = SafetensorsFile(tmp_path / "pytorch_lora_weights.safetensors")
    found = read(file, parts_of(name))
    assert {update.scale for update in found.lora.updates} == {3.5, 0.25}
    components = [update.component for update in found.lora.updates]
    require_close(
        merged(parts_of(name), found.lora),
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
