import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.fingerprint import fingerprint
from spqr_tests.checkpoint.formats import overlay, pipeline_folder
from spqr_tests.checkpoint.lora import update
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.formats.originals import autoencoder, original
from tests.tiny import backbones

Tensors = dict[str, torch.Tensor]
Base = Callable[[str], Parts]
Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="session")
def base(pipeline_folder_of: Callable[[str], Path]) -> Base:
    return cache(
        lambda name: pipeline_folder.read(
            "base", pipeline_folder_of(name), BACKBONES, allow_pickle=False
        )
    )


def changed(name: str, *components: str, only: str = "") -> Any:
    """A backbone's pipeline in which the tensors of some components (those with `only` in their name) were changed."""
    pipeline = backbones.make(name)
    generator = torch.Generator().manual_seed(1)
    for component in components:
        for key, tensor in getattr(pipeline, component).named_parameters():
            if only in key:
                tensor.data += 0.1 * torch.randn(tensor.shape, generator=generator)
    return pipeline


def state(model: Any) -> Tensors:
    return {
        name.removeprefix("text_model."): tensor
        for name, tensor in model.state_dict().items()
        if name != "encoder.embed_tokens.weight" and not name.endswith("position_ids")
    }


def save(path: Path, tensors: Tensors) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


def apply(parts: Parts, path: Path, *, allow_pickle: bool = True) -> tuple[Parts, str]:
    result, recognised = overlay.apply(parts, path, allow_pickle=allow_pickle)
    return result, recognised.sentence


def require_equal(parts: Parts, pipeline: Any) -> None:
    """The parts hold exactly the pipeline's weights, LoRAs merged."""
    for component, model in parts.models.items():
        tensors = {name: piece.tensor() for name, piece in model.tensors.items()}
        update.merge(tensors, component, parts.loras)
        expected = state(getattr(pipeline, component))
        assert tensors.keys() == expected.keys()
        for name, tensor in tensors.items():
            assert torch.equal(tensor, expected[name]), f"{component}.{name}"


def refusal(parts: Parts, path: Path, *, allow_pickle: bool = True) -> str:
    with pytest.raises(InputError) as error:
        overlay.apply(parts, path, allow_pickle=allow_pickle)
    return str(error.value)


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("prefix", ["", "unet.", "module.", "unet.module.", "model."])
def test_a_whole_unet(base: Base, tmp_path: Path, prefix: str, suffix: str) -> None:
    """ESD, RECE and ResAlign, which save the UNet's state dict."""
    pipeline = changed("sd1", "unet")
    size = len(pipeline.unet.state_dict())
    path = save(tmp_path / f"esd.{suffix}", prefixed(prefix, pipeline.unet.state_dict()))
    parts, sentence = apply(base("sd1"), path)
    require_equal(parts, pipeline)
    assert (
        sentence
        == f"esd.{suffix}: {size} of the unet's {size} tensors are replaced, in diffusers' names"
    )
    assert parts.models["unet"].source == path
    assert parts.models["vae"].source == base("sd1").models["vae"].source


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_cross_attention_alone(base: Base, tmp_path: Path, name: str) -> None:
    """UCE, which saves keys and values of the attention to the text."""
    pipeline = changed(name, "unet", only="attn2.to_")
    tensors = {
        key: tensor
        for key, tensor in state(pipeline.unet).items()
        if "attn2.to_k" in key or "attn2.to_v" in key
    }
    plain = backbones.make(name)
    plain.unet.load_state_dict(state(plain.unet) | tensors)
    parts, sentence = apply(base(name), save(tmp_path / "uce.safetensors", tensors))
    require_equal(parts, plain)
    total = len(state(plain.unet))
    assert (
        sentence
        == f"uce.safetensors: {len(tensors)} of the unet's {total} tensors are replaced, in"
        " diffusers' names"
    )
    assert parts.models["unet"].source == base(name).models["unet"].source


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_denoiser_in_its_authors_names(
    base: Base, tmp_path: Path, name: str, *, bare: bool
) -> None:
    """SalUn, Scissorhands and EraseDiff, and FLUX's own files."""
    denoiser = base(name).backbone.denoiser
    pipeline = changed(name, denoiser)
    path = save(
        tmp_path / "salun.safetensors", original(pipeline, name, denoiser_only=True, bare=bare)
    )
    parts, sentence = apply(base(name), path)
    require_equal(parts, pipeline)
    size = len(state(getattr(pipeline, denoiser)))
    assert sentence.startswith(
        f"salun.safetensors: {size} of the {denoiser}'s {size} tensors are replaced, in the names"
        " of a "
    )


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_whole_checkpoint_in_its_authors_names(
    base: Base, tmp_path: Path, name: str, suffix: str
) -> None:
    components = tuple(base(name).models)
    pipeline = changed(name, *components)
    path = tmp_path / f"whole.{suffix}"
    tensors = original(pipeline, name)
    (
        torch.save({"state_dict": tensors, "global_step": 3}, path)
        if suffix == "ckpt"
        else save(path, tensors)
    )
    parts, sentence = apply(base(name), path)
    require_equal(parts, pipeline)
    assert all(f"the {component}'s" in sentence for component in components)


def test_a_part_in_the_authors_names(base: Base, tmp_path: Path) -> None:
    tensors = original(changed("flux", "transformer"), "flux", denoiser_only=True, bare=True)
    part = {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith("double_blocks.0.img_attn.qkv.")
    }
    parts, sentence = apply(base("flux"), save(tmp_path / "part.safetensors", part))
    assert "part.safetensors: 6 of the transformer's" in sentence
    ours = [
        parts.models["transformer"]
        .tensors[f"transformer_blocks.0.attn.to_{letter}.weight"]
        .tensor()
        for letter in "qkv"
    ]
    assert torch.equal(torch.cat(ours), part["double_blocks.0.img_attn.qkv.weight"])


def test_flux_autoencoder_by_itself(base: Base, tmp_path: Path) -> None:
    pipeline = changed("flux", "vae")
    parts, _ = apply(base("flux"), save(tmp_path / "ae.safetensors", autoencoder(pipeline.vae)))
    require_equal(parts, pipeline)


@pytest.mark.parametrize(
    "prefix", ["", "text_model.", "text_encoder.", "text_encoder.text_model.", "module.text_model."]
)
def test_a_text_encoder(base: Base, tmp_path: Path, prefix: str) -> None:
    """AdvUnlearn, which publishes the text encoder."""
    pipeline = changed("sd1", "text_encoder")
    tensors = prefixed(prefix, state(pipeline.text_encoder))
    tensors[f"{prefix}embeddings.position_ids"] = torch.arange(77)[None]
    parts, sentence = apply(base("sd1"), save(tmp_path / "adv.safetensors", tensors))
    require_equal(parts, pipeline)
    assert sentence.endswith("tensors are replaced, in transformers' names")


@pytest.mark.parametrize("component", ["text_encoder", "text_encoder_2"])
def test_text_encoders_are_told_apart_by_their_shapes(
    base: Base, tmp_path: Path, component: str
) -> None:
    pipeline = changed("sdxl", component)
    parts, sentence = apply(
        base("sdxl"), save(tmp_path / "te.safetensors", state(getattr(pipeline, component)))
    )
    require_equal(parts, pipeline)
    assert f" the {component}'s " in sentence


def twins(base: Base) -> Parts:
    """XL with two text encoders of one shape."""
    parts = base("sdxl")
    twin = replace(parts.models["text_encoder"], name="text_encoder_2")
    backbone = type(
        "Twins",
        (type(parts.backbone),),
        {"models": {**parts.backbone.models, "text_encoder_2": ENCODER}},
    )()
    return replace(parts, backbone=backbone, models={**parts.models, "text_encoder_2": twin})


ENCODER = ("transformers", frozenset({"CLIPTextModel"}))


def test_text_encoders_of_one_shape_must_be_named(base: Base, tmp_path: Path) -> None:
    model = changed("sdxl", "text_encoder").text_encoder
    said = refusal(twins(base), save(tmp_path / "te.safetensors", state(model)))
    assert (
        "may be the text_encoder's or the text_encoder_2's: put the component's name before it"
        in said
    )
    model.save_pretrained(tmp_path / "erased")
    said = refusal(twins(base), tmp_path / "erased")
    assert (
        "may be the base's text_encoder or text_encoder_2; name the folder after the one that it is"
        in said
    )
    (tmp_path / "erased").rename(tmp_path / "text_encoder_2")
    _, sentence = apply(twins(base), tmp_path / "text_encoder_2")
    assert "the text_encoder_2's" in sentence


def test_several_components_in_one_file(base: Base, tmp_path: Path) -> None:
    pipeline = changed("sd1", "unet", "text_encoder", "vae")
    tensors = prefixed("unet.", state(pipeline.unet)) | prefixed(
        "text_encoder.text_model.", state(pipeline.text_encoder)
    )
    parts, sentence = apply(
        base("sd1"),
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


def test_old_names_of_the_autoencoder(base: Base, tmp_path: Path) -> None:
    pipeline = changed("sd1", "vae")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in state(pipeline.vae).items():
        part = next((ours for ours in old if f".{ours}." in name), None)
        tensors[name.replace(f".{part}.", f".{old[part]}.") if part else name] = tensor
    assert tensors.keys() != state(pipeline.vae).keys()
    parts, _ = apply(base("sd1"), save(tmp_path / "vae.safetensors", tensors))
    require_equal(parts, pipeline)


@pytest.mark.parametrize("name", ["sd1", "sd3", "flux"])
def test_a_components_folder(base: Base, tmp_path: Path, name: str) -> None:
    components = [component for component in base(name).models if component != "vae"]
    pipeline = changed(name, *components)
    parts = base(name)
    for component in components:
        getattr(pipeline, component).save_pretrained(tmp_path / f"erased-{component}")
        parts, sentence = apply(parts, tmp_path / f"erased-{component}")
        size = len(parts.models[component].tensors)
        assert sentence.startswith(
            f"erased-{component}: {size} of the {component}'s {size} tensors are replaced"
        )
    require_equal(parts, pipeline)


def test_a_components_folder_brings_its_config(base: Base, tmp_path: Path) -> None:
    changed("sd1", "text_encoder").text_encoder.save_pretrained(tmp_path / "te")
    config = tmp_path / "te" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_act": "gelu"}))
    parts, _ = apply(base("sd1"), tmp_path / "te")
    assert parts.models["text_encoder"].config["hidden_act"] == "gelu"
    assert parts.models["text_encoder"].name == "text_encoder"


def test_overlays_come_one_after_the_other(base: Base, tmp_path: Path) -> None:
    first, second = changed("sd1", "unet", "text_encoder"), changed("sd1", "unet", only="attn2")
    parts, _ = apply(base("sd1"), save(tmp_path / "a.safetensors", state(first.unet)))
    partial = {name: tensor for name, tensor in state(second.unet).items() if "attn2" in name}
    parts, _ = apply(parts, save(tmp_path / "b.safetensors", partial))
    parts, _ = apply(
        parts,
        save(tmp_path / "c.safetensors", prefixed("text_encoder.", state(first.text_encoder))),
    )
    first.unet.load_state_dict(state(first.unet) | partial)
    require_equal(parts, first)


def test_another_precision(base: Base, tmp_path: Path) -> None:
    pipeline = changed("sd1", "unet")
    halves = {name: tensor.half() for name, tensor in state(pipeline.unet).items()}
    parts, _ = apply(base("sd1"), save(tmp_path / "half.safetensors", halves))
    pipeline.unet.half()
    require_equal(parts, pipeline)


def low_rank(prefix: str = "unet.") -> Tensors:
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(1, 8, generator=generator), torch.randn(8, 1, generator=generator)
    return {f"{prefix}{Q}.lora_A.weight": down, f"{prefix}{Q}.lora_B.weight": up}


def test_loras(base: Base, tmp_path: Path) -> None:
    """SPM, of rank 1 and in kohya's names; a folder of peft's; a folder that diffusers saved."""
    pipeline = backbones.make("sd1")
    down, up = low_rank().values()
    kohya = f"lora_unet_{Q.replace('.', '_')}"
    spm = {
        f"{kohya}.lora_down.weight": down,
        f"{kohya}.lora_up.weight": up,
        f"{kohya}.alpha": torch.tensor(2.0),
    }
    parts, sentence = apply(base("sd1"), save(tmp_path / "spm.safetensors", spm))
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
    pipeline_folder_of: Callable[[str], Path], tmp_path: Path
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


def test_another_models_weights(base: Base, tmp_path: Path) -> None:
    said = refusal(
        base("sd1"), save(tmp_path / "sdxl.safetensors", state(changed("sdxl", "unet").unet))
    )
    assert "sdxl.safetensors does not fit the base (Stable Diffusion" in said
    assert "in diffusers' names" in said
    wide = {
        name: torch.zeros(t.shape[0], 24) if "attn2.to_k" in name else t + 1
        for name, t in state(backbones.make("sd1").unet).items()
    }
    misfits = sum("attn2.to_k" in name for name in wide)
    said = refusal(base("sd1"), save(tmp_path / "wide.safetensors", wide))
    assert f"{len(wide) - misfits} of its {len(wide)} tensors have a place" in said
    assert "attn2.to_k.weight has the shape [8, 24], and the unet's [8, 16]" in said


def test_a_leftover_is_refused(base: Base, tmp_path: Path) -> None:
    tensors = state(changed("sd1", "unet").unet) | {"extra.weight": torch.ones(2)}
    said = refusal(base("sd1"), save(tmp_path / "extra.safetensors", tensors))
    assert (
        f"in diffusers' names, {len(tensors) - 1} of its {len(tensors)} tensors have a place;"
        " extra.weight is not the base's" in said
    )
    stored = original(changed("sd1", "unet"), "sd1", denoiser_only=True) | {
        "model.diffusion_model.extra.weight": torch.ones(2)
    }
    said = refusal(base("sd1"), save(tmp_path / "extra.safetensors", stored))
    assert (
        f"in the names of a {base('sd1').backbone.original.name}, {len(stored) - 1} of its"
        f" {len(stored)}" in said
    )
    assert "model.diffusion_model.extra.weight" in said


def test_what_matches_nothing(base: Base, tmp_path: Path) -> None:
    said = refusal(
        base("sd1"), save(tmp_path / "other.safetensors", {"blocks.0.weight": torch.ones(3, 3)})
    )
    for words in (
        "fits nothing of the base",
        "unet, vae, text_encoder",
        "none of its 1 tensors",
        "blocks.0.weight",
        "LoRA of kohya",
    ):
        assert words in said


def test_what_changes_nothing(base: Base, tmp_path: Path) -> None:
    pipeline = backbones.make("sd1")
    for tensors in (
        state(pipeline.unet),
        {"conv_in.weight": pipeline.unet.conv_in.weight},
        original(pipeline, "sd1", denoiser_only=True),
    ):
        said = refusal(base("sd1"), save(tmp_path / "same.safetensors", tensors))
        assert (
            "changes nothing: all of its tensors are the base's own, and the base would be measured"
            in said
        )
    for dtype in (torch.float16, torch.bfloat16):
        halves = {name: tensor.to(dtype) for name, tensor in state(pipeline.unet).items()}
        assert "changes nothing" in refusal(
            base("sd1"), save(tmp_path / "half.safetensors", halves)
        )
        halves["conv_in.weight"] = halves["conv_in.weight"] * 1.1
        overlay.apply(base("sd1"), save(tmp_path / "half.safetensors", halves), allow_pickle=False)
    pipeline.text_encoder.save_pretrained(tmp_path / "te")
    assert "changes nothing" in refusal(base("sd1"), tmp_path / "te")


def test_one_tensor_under_two_names(base: Base, tmp_path: Path) -> None:
    weight = changed("sd1", "unet").unet.conv_in.weight
    said = refusal(
        base("sd1"),
        save(
            tmp_path / "two.safetensors",
            {"conv_in.weight": weight, "unet.conv_in.weight": weight + 1},
        ),
    )
    assert "conv_in.weight and unet.conv_in.weight are one tensor of the unet, and differ" in said


def test_quantised_weights(base: Base, tmp_path: Path) -> None:
    tensors = {"conv_in.weight": torch.ones(8, 4, 3, 3, dtype=torch.int8)}
    assert "is stored as I8, and the unet's as F32" in refusal(
        base("sd1"), save(tmp_path / "int8.safetensors", tensors)
    )


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({"control_model.input_blocks.0.0.weight": torch.ones(8, 4, 3, 3)}, "a ControlNet"),
        ({"controlnet_cond_embedding.conv_in.weight": torch.ones(8, 4, 3, 3), "conv_in.weight": torch.ones(8, 4, 3, 3)}, "a ControlNet"),
        ({"ip_adapter.1.to_k_ip.weight": torch.ones(8, 16), "image_proj.norm.weight": torch.ones(16)}, "an IP-Adapter"),
        ({"emb_params": torch.ones(2, 16)}, "an embedding of textual inversion"),
        ({"string_to_param.*": torch.ones(2, 16)}, "an embedding of textual inversion"),
        ({"<cat-toy>": torch.ones(16)}, "an embedding of textual inversion"),
        ({"down.attn2.processor.to_k_custom_diffusion.weight": torch.ones(8, 16)}, "a set of Custom Diffusion's"),
    ],
)  # fmt: skip
def test_what_is_no_change_of_weights(
    base: Base, tmp_path: Path, tensors: Tensors, kind: str
) -> None:
    said = refusal(base("sd1"), save(tmp_path / "other.safetensors", tensors))
    assert f"other.safetensors is {kind}" in said
    assert "no change of the base's weights" in said


def test_folders_that_are_refused(
    base: Base, tmp_path: Path, pipeline_folder_of: Callable[[str], Path]
) -> None:
    assert "there is no such file or folder" in refusal(base("sd1"), tmp_path / "nothing")
    assert "is a whole pipeline; pass it as --model" in refusal(
        base("sd1"), pipeline_folder_of("sd1")
    )
    (tmp_path / "empty").mkdir()
    assert "expected is a folder with config.json" in refusal(base("sd1"), tmp_path / "empty")
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    assert "holds no adapter_model.safetensors" in refusal(base("sd1"), tmp_path / "empty")
    save(
        tmp_path / "empty" / "adapter_model.safetensors", {"conv_in.weight": torch.ones(8, 4, 3, 3)}
    )
    assert "holds no LoRA" in refusal(base("sd1"), tmp_path / "empty")
    changed("flux", "text_encoder_2").text_encoder_2.save_pretrained(tmp_path / "t5")
    assert (
        "names the class 'T5EncoderModel', and the base consists of AutoencoderKL, CLIPTextModel,"
        " UNet" in refusal(base("sd1"), tmp_path / "t5")
    )


def test_component_folders_must_be_whole(base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "unet"
    changed("sd1", "unet").unet.save_pretrained(folder)
    whole = state(changed("sd1", "unet").unet)
    weights = folder / "diffusion_pytorch_model.safetensors"
    save(weights, {name: tensor for name, tensor in whole.items() if name != "conv_in.bias"})
    assert "beside the unet it lacks 1 tensors, conv_in.bias first" in refusal(base("sd1"), folder)
    save(weights, whole | {"extra": torch.ones(1)})
    assert "beside the unet it has besides 1 tensors, extra first" in refusal(base("sd1"), folder)
    save(weights, whole | {"conv_in.bias": torch.ones(9)})
    assert "conv_in.bias has the shape [9], and the unet's [8]" in refusal(base("sd1"), folder)


def test_links_out_of_a_folder_are_refused(base: Base, tmp_path: Path) -> None:
    outside = save(tmp_path / "outside.safetensors", low_rank())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pytorch_lora_weights.safetensors").symlink_to(outside)
    assert "is a link to" in refusal(base("sd1"), folder)
    shutil.copy(outside, folder / "adapter_model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    (folder / "adapter_config.json").symlink_to(tmp_path / "config.json")
    assert "is a link to" in refusal(base("sd1"), folder)


def test_pickles_need_permission(base: Base, tmp_path: Path) -> None:
    path = save(tmp_path / "esd.pt", state(changed("sd1", "unet").unet))
    assert "--spqr-allow-pickle" in refusal(base("sd1"), path, allow_pickle=False)


def test_marks_of_another_scheduler(base: Base, tmp_path: Path) -> None:
    """Files for v prediction are marked; on a base that predicts noise, they would paint noise."""
    tensors = original(changed("sdxl", "unet"), "sdxl")
    backbone = base("sdxl").backbone
    assert backbone.original is not None
    settings = {
        key: value for mark in backbone.original.marks.values() for key, value in mark.items()
    }
    marks = dict.fromkeys(backbone.original.marks, torch.zeros(0))
    assert marks
    path = save(tmp_path / "vpred.safetensors", tensors | marks)
    said = refusal(base("sdxl"), path)
    assert (
        "says that its scheduler has prediction_type = 'v_prediction', and the base's has 'epsilon'"
        in said
    )
    parts = base("sdxl")
    scheduler, config = parts.scheduler
    overlay.apply(
        replace(parts, scheduler=(scheduler, {**config, **settings})), path, allow_pickle=False
    )


def test_an_overlaid_base_has_the_fingerprint_of_the_whole_model(
    base: Base, tmp_path: Path
) -> None:
    pipeline = changed("flux", "transformer", "text_encoder")
    pipeline.save_pretrained(tmp_path / "whole")
    whole = pipeline_folder.read("whole", tmp_path / "whole", BACKBONES, allow_pickle=False)
    parts, _ = apply(
        base("flux"),
        save(
            tmp_path / "bfl.safetensors", original(pipeline, "flux", denoiser_only=True, bare=True)
        ),
    )
    parts, _ = apply(
        parts, save(tmp_path / "te.pt", prefixed("text_encoder.", state(pipeline.text_encoder)))
    )
    assert fingerprint(parts) == fingerprint(whole) != fingerprint(base("flux"))
    path = save(tmp_path / "lora.safetensors", {
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(1, 16),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(32, 1),
    })  # fmt: skip
    parts, _ = apply(parts, path)
    assert fingerprint(parts) != fingerprint(whole)
