"""Adapters of every kind as LyCORIS makes and saves them, against its own forward pass."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris import LycorisNetwork
from safetensors.torch import load_file

from spqr_tests.checkpoint.formats import overlay
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.errors import InputError
from tests.checkpoint.lora.files import merged, read, save
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors
from tests.tiny import backbones

PRESET = {
    "target_name": [".*attn1.to_q", ".*attn2.to_out.0", ".*ff.net.2", ".*proj_in", ".*conv1"],
    "target_module": [],
    "enable_conv": True,
}
FLUX = {**PRESET, "target_name": ["transformer_blocks.0.attn.to_q", ".*proj_mlp"]}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "LoCon": ({"algo": "locon", "use_tucker": True, "alpha": 3}, "a low-rank update"),
    "DoRA": ({"algo": "locon", "weight_decompose": True, "alpha": 3}, "a DoRA update"),
    "DoRA of inputs": (
        {"algo": "locon", "weight_decompose": True, "wd_on_out": False},
        "a DoRA update",
    ),
    "LoHa": ({"algo": "loha", "alpha": 3}, "a LoHa update"),
    "LoHa, Tucker": ({"algo": "loha", "use_tucker": True, "alpha": 3}, "a LoHa update"),
    "LoHa and DoRA": ({"algo": "loha", "weight_decompose": True}, "a DoRA update"),
    "LoKr": ({"algo": "lokr", "dim": 1, "alpha": 3}, "a LoKr update"),
    "LoKr of four matrices": (
        {
            "algo": "lokr",
            "dim": 1,
            "alpha": 3,
            "decompose_both": True,
            "factor": 4,
            "use_tucker": True,
        },
        "a LoKr update",
    ),
    "LoKr of two": ({"algo": "lokr", "full_matrix": True, "alpha": 3}, "a LoKr update"),
    "LoKr and DoRA": ({"algo": "lokr", "dim": 1, "weight_decompose": True}, "a DoRA update"),
    "OFT": ({"algo": "diag-oft"}, "an OFT rotation"),
    "OFT, constrained and rescaled": (
        {"algo": "diag-oft", "constraint": 0.01, "rescaled": True},
        "an OFT rotation",
    ),
    "BOFT": ({"algo": "boft"}, "a BOFT rotation"),
    "BOFT, constrained and rescaled": (
        {"algo": "boft", "constraint": 0.01, "rescaled": True},
        "a BOFT rotation",
    ),
    "(IA)3 of outputs": ({"algo": "ia3"}, "an (IA)3 scaling"),
    "(IA)3 of inputs": ({"algo": "ia3", "train_on_input": True}, "an (IA)3 scaling"),
}


def trained(model: Any, settings: dict[str, Any], path: Path, preset: Any = None) -> Any:
    """A network of LyCORIS with random weights on a model, which it saved."""
    torch.manual_seed(2)
    given = {"dim": 2, "alpha": 1, **settings}
    LycorisNetwork.apply_preset(preset or PRESET)
    network = LycorisNetwork(
        model,
        lora_dim=given["dim"],
        conv_lora_dim=given["dim"],
        alpha=given["alpha"],
        conv_alpha=given["alpha"],
        network_module=given["algo"],
        **{key: value for key, value in settings.items() if key not in {"dim", "alpha", "algo"}},
    )
    for one in network.loras:
        for name, parameter in one.named_parameters():
            noise = torch.randn(parameter.shape)
            parameter.data += 0.2 * (noise.abs() if "dora_scale" in name else noise)
    network.apply_to()
    network.eval()
    network.save_weights(str(path), torch.float32, {"made": "by a test"})
    return network


def output(unet: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noisy, text = (
        torch.randn(shape, generator=generator) for shape in ((1, 4, 16, 16), (1, 7, 16))
    )
    with torch.no_grad():
        found: torch.Tensor = unet(noisy, 500, text).sample
    return found


@pytest.mark.parametrize("name", KINDS)
def test_what_lycoris_computes(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    settings, what = KINDS[name]
    unet = backbones.make("sd1").unet
    base, ours = output(unet), deepcopy(unet)
    path = tmp_path / "lycoris.safetensors"
    network = trained(unet, settings, path)
    strengths = [1.0] if "DoRA" in name else [1.0, 0.6]
    for strength in strengths:
        network.set_multiplier(strength)
        parts, recognised = overlay.apply(
            parts_of("sd1"), path, allow_pickle=False, strength=strength
        )
        assert f" tensors get {what}" in recognised.sentence
        ours.load_state_dict(merged(parts_of("sd1"), parts.loras[-1])["unet"])
        torch.testing.assert_close(output(ours), output(unet), rtol=0, atol=1e-5)
        assert (output(ours) - base).abs().max() > 1e-3


def renamed(tensors: Tensors, prefix: str) -> Tensors:
    return {name.replace("lycoris_", prefix): tensor for name, tensor in tensors.items()}


def test_one_adapter_has_one_digest_in_every_naming(parts_of: PartsOf, tmp_path: Path) -> None:
    """LyCORIS' names, kohya's (which OneTrainer uses too), and SimpleTuner's and ai-toolkit's."""
    for algo in ("loha", "lokr"):
        path = tmp_path / f"{algo}.safetensors"
        transformer = backbones.make("flux").transformer
        full = {one.replace(".", "_"): one for one, _ in transformer.named_modules()}
        trained(transformer, {"algo": algo}, path, FLUX)
        tensors = load_file(path)
        dotted = {}
        for name, tensor in tensors.items():
            module, _, role = name.partition(".")
            dotted[f"{full[module.removeprefix('lycoris_')]}.{role}"] = tensor
        namings = [
            tensors,
            renamed(tensors, "lora_unet_"),
            renamed(tensors, "lora_transformer_"),
            {f"transformer.{name}": tensor for name, tensor in dotted.items()},
            {f"diffusion_model.{name}": tensor for name, tensor in dotted.items()},
        ]
        found = [
            read(save(tmp_path / f"{number}.safetensors", naming), parts_of("flux"))
            for number, naming in enumerate(namings)
        ]
        assert len(found[0].lora.updates) == 3
        assert len({one.lora.digest() for one in found}) == 1
        assert {one.names for one in found} == {"LyCORIS'"}


JOINED: dict[str, dict[str, Any]] = {
    "loha": {"algo": "loha"},
    "lokr": {"algo": "lokr", "dim": 1},
    "DoRA": {"algo": "locon", "weight_decompose": True},
    "DoRA of inputs": {"algo": "locon", "weight_decompose": True, "wd_on_out": False},
    "OFT": {"algo": "diag-oft", "constraint": 0.02},
    "(IA)3": {"algo": "ia3"},
}


@pytest.mark.parametrize("name", JOINED)
def test_a_module_that_holds_several_of_ours(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    """ai-toolkit, OneTrainer and kohya's FLUX trainer name query, key and value together."""
    weights = {
        key: tensor.tensor()
        for key, tensor in parts_of("flux").models["transformer"].tensors.items()
    }
    single = [
        f"single_transformer_blocks.0.{part}"
        for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    ]
    layer = torch.nn.Linear(32, 224, bias=False)
    layer.weight.data = torch.cat([weights[f"{one}.weight"] for one in single])
    holder = torch.nn.Module()
    holder.add_module("single_blocks_0_linear1", layer)
    network = trained(
        holder, JOINED[name], tmp_path / "x.safetensors", {**PRESET, "target_name": [".*"]}
    )
    file = save(
        tmp_path / "kohya.safetensors",
        renamed(load_file(tmp_path / "x.safetensors"), "lora_unet_"),
    )
    ours = merged(parts_of("flux"), read(file, parts_of("flux")).lora)["transformer"]
    x = torch.randn(3, 32)
    with torch.no_grad():
        theirs = layer(x)
    assert len(network.loras) == 1
    whole = torch.cat([ours[f"{one}.weight"] for one in single])
    torch.testing.assert_close(x @ whole.T, theirs, rtol=1e-5, atol=1e-5)
    assert sum(not torch.equal(ours[key], weight) for key, weight in weights.items()) == 4


def test_kohyas_oft(parts_of: PartsOf, tmp_path: Path) -> None:
    """The names and the bound of kohya's networks.oft; its rotation is LyCORIS' own."""
    unet = backbones.make("sd1").unet
    network = trained(unet, {"algo": "diag-oft", "constraint": 0.01}, tmp_path / "a.safetensors")
    assert network.loras
    file = SafetensorsFile(tmp_path / "a.safetensors")
    tensors = {name: file.tensor(name) for name in file.tensors}
    kohya = save(tmp_path / "kohya.safetensors", renamed(tensors, "oft_unet_"))
    assert read(kohya, parts_of("sd1")).lora.digest() == read(file, parts_of("sd1")).lora.digest()
    unbounded = {
        name: torch.zeros(()) if name.endswith("alpha") else tensor
        for name, tensor in renamed(tensors, "oft_unet_").items()
    }
    with pytest.raises(
        InputError, match=r"constraint of oft_unet_.* is 0; expected a number above"
    ):
        read(save(tmp_path / "none.safetensors", unbounded), parts_of("sd1"))
