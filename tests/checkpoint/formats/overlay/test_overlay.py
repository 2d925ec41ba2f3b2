"""Overlays: which tensors of a base each one replaces or updates."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import pipeline_folder
from spqr_tests.checkpoint.lora import update
from spqr_tests.checkpoint.parts import Parts
from tests.checkpoint.formats.originals import autoencoder, original
from tests.checkpoint.formats.overlay.overlays import Q, apply, changed, low_rank, refusal, save
from tests.checkpoint.tiny_pipelines import FolderOf, PartsOf, Tensors, state
from tests.tiny import backbones


def require_equal(parts: Parts, pipeline: Any) -> None:
    """Fail unless the parts hold exactly the pipeline's weights, with LoRAs merged."""
    for component, model in parts.models.items():
        tensors = {name: piece.tensor() for name, piece in model.tensors.items()}
        update.merge(tensors, component, parts.loras)
        expected = state(getattr(pipeline, component))
        assert tensors.keys() == expected.keys()
        for name, tensor in tensors.items():
            assert torch.equal(tensor, expected[name]), f"{component}.{name}"


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("prefix", ["", "unet.", "module.", "unet.module.", "model."])
def test_a_whole_unet(parts_of: PartsOf, tmp_path: Path, prefix: str, suffix: str) -> None:
    """ESD, RECE and ResAlign, which save the UNet's state dict."""
    pipeline = changed("sd1", "unet")
    size = len(pipeline.unet.state_dict())
    path = save(tmp_path / f"esd.{suffix}", prefixed(prefix, pipeline.unet.state_dict()))
    parts, sentence = apply(parts_of("sd1"), path)
    require_equal(parts, pipeline)
    assert (
        sentence
        == f"esd.{suffix}: {size} of the unet's {size} tensors are replaced, in diffusers' names"
    )
    assert parts.models["unet"].source == path
    assert parts.models["vae"].source == parts_of("sd1").models["vae"].source


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_cross_attention_alone(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    """UCE, which saves keys and values of the attention to the text."""
    pipeline = changed(name, "unet", only="attn2.to_")
    tensors = {
        key: tensor
        for key, tensor in state(pipeline.unet).items()
        if "attn2.to_k" in key or "attn2.to_v" in key
    }
    plain = backbones.make(name)
    plain.unet.load_state_dict(state(plain.unet) | tensors)
    parts, sentence = apply(parts_of(name), save(tmp_path / "uce.safetensors", tensors))
    require_equal(parts, plain)
    total = len(state(plain.unet))
    assert (
        sentence
        == f"uce.safetensors: {len(tensors)} of the unet's {total} tensors are replaced, in"
        " diffusers' names"
    )
    assert parts.models["unet"].source == parts_of(name).models["unet"].source


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_denoiser_in_its_authors_names(
    parts_of: PartsOf, tmp_path: Path, name: str, *, bare: bool
) -> None:
    """SalUn, Scissorhands and EraseDiff, and FLUX's own files."""
    denoiser = parts_of(name).backbone.denoiser
    pipeline = changed(name, denoiser)
    path = save(
        tmp_path / "salun.safetensors", original(pipeline, name, denoiser_only=True, bare=bare)
    )
    parts, sentence = apply(parts_of(name), path)
    require_equal(parts, pipeline)
    size = len(state(getattr(pipeline, denoiser)))
    assert sentence.startswith(
        f"salun.safetensors: {size} of the {denoiser}'s {size} tensors are replaced, in the names"
        " of a "
    )


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_whole_checkpoint_in_its_authors_names(
    parts_of: PartsOf, tmp_path: Path, name: str, suffix: str
) -> None:
    components = tuple(parts_of(name).models)
    pipeline = changed(name, *components)
    path = tmp_path / f"whole.{suffix}"
    tensors = original(pipeline, name)
    (
        torch.save({"state_dict": tensors, "global_step": 3}, path)
        if suffix == "ckpt"
        else save(path, tensors)
    )
    parts, sentence = apply(parts_of(name), path)
    require_equal(parts, pipeline)
    assert all(f"the {component}'s" in sentence for component in components)


def test_a_part_in_the_authors_names(parts_of: PartsOf, tmp_path: Path) -> None:
    tensors = original(changed("flux", "transformer"), "flux", denoiser_only=True, bare=True)
    part = {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith("double_blocks.0.img_attn.qkv.")
    }
    parts, sentence = apply(parts_of("flux"), save(tmp_path / "part.safetensors", part))
    assert "part.safetensors: 6 of the transformer's" in sentence
    ours = [
        parts.models["transformer"]
        .tensors[f"transformer_blocks.0.attn.to_{letter}.weight"]
        .tensor()
        for letter in "qkv"
    ]
    assert torch.equal(torch.cat(ours), part["double_blocks.0.img_attn.qkv.weight"])


def test_flux_autoencoder_by_itself(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = changed("flux", "vae")
    parts, _ = apply(parts_of("flux"), save(tmp_path / "ae.safetensors", autoencoder(pipeline.vae)))
    require_equal(parts, pipeline)


@pytest.mark.parametrize(
    "prefix", ["", "text_model.", "text_encoder.", "text_encoder.text_model.", "module.text_model."]
)
def test_a_text_encoder(parts_of: PartsOf, tmp_path: Path, prefix: str) -> None:
    """AdvUnlearn, which publishes the text encoder."""
    pipeline = changed("sd1", "text_encoder")
    tensors = prefixed(prefix, state(pipeline.text_encoder))
    tensors[f"{prefix}embeddings.position_ids"] = torch.arange(77)[None]
    parts, sentence = apply(parts_of("sd1"), save(tmp_path / "adv.safetensors", tensors))
    require_equal(parts, pipeline)
    assert sentence.endswith("tensors are replaced, in transformers' names")


@pytest.mark.parametrize("component", ["text_encoder", "text_encoder_2"])
def test_text_encoders_are_distinguished_by_their_shapes(
    parts_of: PartsOf, tmp_path: Path, component: str
) -> None:
    pipeline = changed("sdxl", component)
    parts, sentence = apply(
        parts_of("sdxl"), save(tmp_path / "te.safetensors", state(getattr(pipeline, component)))
    )
    require_equal(parts, pipeline)
    assert f" the {component}'s " in sentence


def twins(parts_of: PartsOf) -> Parts:
    """The parts of an SDXL pipeline whose two text encoders have one shape."""
    parts = parts_of("sdxl")
    twin = replace(parts.models["text_encoder"], name="text_encoder_2")
    backbone = type(
        "Twins",
        (type(parts.backbone),),
        {"models": {**parts.backbone.models, "text_encoder_2": ENCODER}},
    )()
    return replace(parts, backbone=backbone, models={**parts.models, "text_encoder_2": twin})


ENCODER = ("transformers", frozenset({"CLIPTextModel"}))


def test_text_encoders_of_one_shape_must_be_named(parts_of: PartsOf, tmp_path: Path) -> None:
    model = changed("sdxl", "text_encoder").text_encoder
    said = refusal(twins(parts_of), save(tmp_path / "te.safetensors", state(model)))
    assert (
        "may be the text_encoder's or the text_encoder_2's: put the component's name in front of it"
        in said
    )
    model.save_pretrained(tmp_path / "erased")
    said = refusal(twins(parts_of), tmp_path / "erased")
    assert (
        "may be the base's text_encoder or text_encoder_2; give the folder the name of the right"
        " one" in said
    )
    (tmp_path / "erased").rename(tmp_path / "text_encoder_2")
    _, sentence = apply(twins(parts_of), tmp_path / "text_encoder_2")
    assert "the text_encoder_2's" in sentence


def test_several_components_in_one_file(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = changed("sd1", "unet", "text_encoder", "vae")
    tensors = prefixed("unet.", state(pipeline.unet)) | prefixed(
        "text_encoder.text_model.", state(pipeline.text_encoder)
    )
    parts, sentence = apply(
        parts_of("sd1"),
        save(tmp_path / "all.safetensors", tensors | prefixed("vae.", state(pipeline.vae))),
    )
    require_equal(parts, pipeline)
    sizes = {name: len(parts.models[name].tensors) for name in ("unet", "vae", "text_encoder")}
    listed = [f"{size} of the {name}'s {size}" for name, size in sizes.items()]
    assert (
        sentence
        == f"all.safetensors: {', '.join(listed[:-1])} and {listed[-1]} tensors are replaced, in"
        " diffusers' names"
    )


def test_old_names_of_the_autoencoder(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = changed("sd1", "vae")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in state(pipeline.vae).items():
        part = next((ours for ours in old if f".{ours}." in name), None)
        tensors[name.replace(f".{part}.", f".{old[part]}.") if part else name] = tensor
    assert tensors.keys() != state(pipeline.vae).keys()
    parts, _ = apply(parts_of("sd1"), save(tmp_path / "vae.safetensors", tensors))
    require_equal(parts, pipeline)


@pytest.mark.parametrize("name", ["sd1", "sd3", "flux"])
def test_a_components_folder(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    components = [component for component in parts_of(name).models if component != "vae"]
    pipeline = changed(name, *components)
    parts = parts_of(name)
    for component in components:
        getattr(pipeline, component).save_pretrained(tmp_path / f"erased-{component}")
        parts, sentence = apply(parts, tmp_path / f"erased-{component}")
        size = len(parts.models[component].tensors)
        assert sentence.startswith(
            f"erased-{component}: {size} of the {component}'s {size} tensors are replaced"
        )
    require_equal(parts, pipeline)


def test_a_components_folder_brings_its_config(parts_of: PartsOf, tmp_path: Path) -> None:
    changed("sd1", "text_encoder").text_encoder.save_pretrained(tmp_path / "te")
    config = tmp_path / "te" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_act": "gelu"}))
    parts, _ = apply(parts_of("sd1"), tmp_path / "te")
    assert parts.models["text_encoder"].config["hidden_act"] == "gelu"
    assert parts.models["text_encoder"].name == "text_encoder"


def test_overlays_come_one_after_the_other(parts_of: PartsOf, tmp_path: Path) -> None:
    first, second = changed("sd1", "unet", "text_encoder"), changed("sd1", "unet", only="attn2")
    parts, _ = apply(parts_of("sd1"), save(tmp_path / "a.safetensors", state(first.unet)))
    partial = {name: tensor for name, tensor in state(second.unet).items() if "attn2" in name}
    parts, _ = apply(parts, save(tmp_path / "b.safetensors", partial))
    parts, _ = apply(
        parts,
        save(tmp_path / "c.safetensors", prefixed("text_encoder.", state(first.text_encoder))),
    )
    first.unet.load_state_dict(state(first.unet) | partial)
    require_equal(parts, first)


def test_another_precision(parts_of: PartsOf, tmp_path: Path) -> None:
    pipeline = changed("sd1", "unet")
    halves = {name: tensor.half() for name, tensor in state(pipeline.unet).items()}
    parts, _ = apply(parts_of("sd1"), save(tmp_path / "half.safetensors", halves))
    pipeline.unet.half()
    require_equal(parts, pipeline)


def test_loras(parts_of: PartsOf, tmp_path: Path) -> None:
    """SPM (rank 1, kohya's names), a folder that peft saved, and a folder that diffusers saved."""
    pipeline = backbones.make("sd1")
    down, up = low_rank().values()
    kohya = f"lora_unet_{Q.replace('.', '_')}"
    spm = {
        f"{kohya}.lora_down.weight": down,
        f"{kohya}.lora_up.weight": up,
        f"{kohya}.alpha": torch.tensor(2.0),
    }
    parts, sentence = apply(parts_of("sd1"), save(tmp_path / "spm.safetensors", spm))
    size = len(parts.models["unet"].tensors)
    assert (
        sentence
        == f"spm.safetensors: 1 of the unet's {size} tensors get a low-rank update, in kohya's"
        " names"
    )
    (tmp_path / "peft").mkdir()
    save(tmp_path / "peft" / "adapter_model.safetensors", low_rank("base_model.model."))
    (tmp_path / "peft" / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 1, "lora_alpha": 4}'
    )
    parts, sentence = apply(parts, tmp_path / "peft")
    assert sentence.startswith("peft: 1 of the unet's")
    (tmp_path / "diffusers").mkdir()
    save(tmp_path / "diffusers" / "pytorch_lora_weights.safetensors", low_rank())
    parts, _ = apply(parts, tmp_path / "diffusers")
    assert len(parts.loras) == 3
    weight = pipeline.unet.get_submodule(Q).weight
    for scale in (2.0, 4.0, 1.0):
        weight.data += scale * (up @ down)
    require_equal(parts, pipeline)


def test_recognising_safetensors_imports_no_torch(
    pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    pipeline = changed("sdxl", "unet", "text_encoder_2")
    pipeline.text_encoder_2.save_pretrained(tmp_path / "te")
    overlays = [
        tmp_path / "te",
        save(tmp_path / "unet.safetensors", original(pipeline, "sdxl", denoiser_only=True)),
        save(tmp_path / "uce.safetensors", {"conv_in.weight": pipeline.unet.conv_in.weight + 1}),
        save(tmp_path / "lora.safetensors", {
            "lora_unet_input_blocks_0_0.lora_down.weight": torch.ones(1, 4, 3, 3),
            "lora_unet_input_blocks_0_0.lora_up.weight": torch.ones(8, 1, 1, 1),
            "lora_unet_input_blocks_0_0.alpha": torch.tensor(1.0, dtype=torch.bfloat16),
        }),
    ]  # fmt: skip
    program = """
import sys
from pathlib import Path
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import overlay, pipeline_folder
folder, *overlays = map(Path, sys.argv[1:])
parts = pipeline_folder.read("base", folder, BACKBONES, allow_pickle=False)
for path in overlays:
    parts, recognised = overlay.apply(parts, path, allow_pickle=False)
    print(recognised.sentence)
parts.loras[0].digest()
print(sorted({"torch", "diffusers", "transformers", "peft"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(pipeline_folder_of("sdxl")), *map(str, overlays)]
    *sentences, imported = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(sentences) == 4
    assert imported == "[]"


def test_an_overlaid_base_has_the_fingerprint_of_the_whole_model(
    parts_of: PartsOf, tmp_path: Path
) -> None:
    pipeline = changed("flux", "transformer", "text_encoder")
    pipeline.save_pretrained(tmp_path / "whole")
    whole = pipeline_folder.read("whole", tmp_path / "whole", BACKBONES, allow_pickle=False)
    parts, _ = apply(
        parts_of("flux"),
        save(
            tmp_path / "bfl.safetensors", original(pipeline, "flux", denoiser_only=True, bare=True)
        ),
    )
    parts, _ = apply(
        parts, save(tmp_path / "te.pt", prefixed("text_encoder.", state(pipeline.text_encoder)))
    )
    assert fingerprint(parts) == fingerprint(whole) != fingerprint(parts_of("flux"))
    path = save(tmp_path / "lora.safetensors", {
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(1, 16),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(32, 1),
    })  # fmt: skip
    parts, _ = apply(parts, path)
    assert fingerprint(parts) != fingerprint(whole)
