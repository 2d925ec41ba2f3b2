"""Adapters of every kind as peft makes, saves and merges them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    BOFTConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    get_peft_model,
)

from spqr_tests.checkpoint.formats import overlay
from spqr_tests.errors import InputError
from tests.checkpoint.lora.files import merged, require_close
from tests.checkpoint.tiny_pipelines import PartsOf
from tests.tiny import backbones

CONVOLUTIONS = ["to_q", "proj_in", "conv1"]
KINDS: dict[str, tuple[PeftConfig, str]] = {
    "DoRA": (
        LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=CONVOLUTIONS),
        "a DoRA update",
    ),
    "LoHa": (
        LoHaConfig(
            r=3, alpha=2, target_modules=CONVOLUTIONS, rank_pattern={"to_q": 2}, init_weights=False
        ),
        "a LoHa update",
    ),
    "LoHa, Tucker": (
        LoHaConfig(
            r=2,
            alpha=3,
            target_modules=["conv1"],
            init_weights=False,
            use_effective_conv2d=True,
        ),
        "a LoHa update",
    ),
    "LoKr": (
        LoKrConfig(r=1, alpha=2, target_modules=CONVOLUTIONS, init_weights=False),
        "a LoKr update",
    ),
    "LoKr of four matrices": (
        LoKrConfig(
            r=1,
            alpha=3,
            target_modules=["conv1", "ff.net.0.proj"],
            decompose_both=True,
            decompose_factor=4,
            use_effective_conv2d=True,
            init_weights=False,
        ),
        "a LoKr update",
    ),
    "LoKr of two": (
        LoKrConfig(r=64, alpha=32, target_modules=["to_q"], init_weights=False),
        "a LoKr update",
    ),
    "OFT": (
        OFTConfig(
            oft_block_size=4,
            target_modules=CONVOLUTIONS,
            init_weights=False,
            use_cayley_neumann=False,
        ),
        "an OFT rotation",
    ),
    "OFT by Neumann's series, shared": (
        OFTConfig(
            oft_block_size=4,
            target_modules=["to_q"],
            init_weights=False,
            block_share=True,
            use_cayley_neumann=True,
        ),
        "an OFT rotation",
    ),
    "OFT, constrained": (
        OFTConfig(
            r=2,
            oft_block_size=0,
            target_modules=["to_q"],
            init_weights=False,
            coft=True,
            eps=0.01,
            use_cayley_neumann=False,
        ),
        "an OFT rotation",
    ),
    "BOFT": (
        BOFTConfig(boft_block_size=4, target_modules=CONVOLUTIONS, init_weights=False),
        "a BOFT rotation",
    ),
    "(IA)3": (
        IA3Config(
            target_modules=["to_k", "to_out.0", "ff.net.2", "conv1", "proj_in"],
            feedforward_modules=["ff.net.2", "proj_in"],
        ),
        "an (IA)3 scaling",
    ),
}


def saved(config: PeftConfig, folder: Path) -> Any:
    """A tiny pipeline into whose UNet peft merged a random adapter, which it saved in a folder."""
    pipeline = backbones.make("sd1")
    model = get_peft_model(pipeline.unet, config)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("lora_", "ia3_", "boft_s")):
            # Around what is there: a DoRA's lengths are those of the weights.
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data += 0.3 * noise.abs() if "magnitude" in name else 0.3 * noise
    model.save_pretrained(folder)
    pipeline.unet = model.merge_and_unload()
    return pipeline


@pytest.mark.parametrize("name", KINDS)
def test_what_peft_merges(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    config, what = KINDS[name]
    pipeline = saved(config, tmp_path)
    parts, recognised = overlay.apply(parts_of("sd1"), tmp_path, allow_pickle=False)
    assert f" tensors get {what}, in " in recognised.sentence
    count = sum(len(update.names) for update in parts.loras[-1].updates)
    require_close(merged(parts_of("sd1"), parts.loras[-1]), pipeline, {"unet": count})


@pytest.mark.parametrize("name", ["OFT", "BOFT", "(IA)3"])
def test_peft_gives_these_no_strength(parts_of: PartsOf, tmp_path: Path, name: str) -> None:
    saved(KINDS[name][0], tmp_path)
    with pytest.raises(InputError, match=r"of peft, which has no strength but 1; leave @0\.5 out"):
        overlay.apply(parts_of("sd1"), tmp_path, allow_pickle=False, strength=0.5)


def test_a_rotation_and_another_adapter_of_one_tensor(parts_of: PartsOf, tmp_path: Path) -> None:
    saved(KINDS["OFT"][0], tmp_path / "oft")
    saved(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), tmp_path / "lora")
    saved(LoraConfig(r=2, target_modules=["to_v"], init_lora_weights=False), tmp_path / "other")
    for first, second in (("oft", "lora"), ("lora", "oft")):
        parts, _ = overlay.apply(parts_of("sd1"), tmp_path / first, allow_pickle=False)
        with pytest.raises(InputError, match="the result depends on their order"):
            overlay.apply(parts, tmp_path / second, allow_pickle=False)
    overlay.apply(parts, tmp_path / "other", allow_pickle=False)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("OFT", {"use_cayley_neumann": None}, "does not say use_cayley_neumann"),
        ("OFT", {"coft": "yes"}, "coft = 'yes'; expected true or false"),
        ("LoHa", {"peft_type": "LOKR"}, "is a LoHa adapter, and the adapter config says that"),
        ("OFT", {"peft_type": "VERA"}, "of the type 'VERA', and only LORA, LOHA, LOKR"),
        ("LoHa", {"alpha": 0}, "alpha = 0, which is not a number above 0"),
        ("LoHa", {"r": 7}, "has the rank 3, and the adapter config says 7"),
    ],
)
def test_configs_that_are_refused(
    parts_of: PartsOf, tmp_path: Path, name: str, changed: dict[str, Any], said: str
) -> None:
    saved(KINDS[name][0], tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({key: one for key, one in config.items() if one is not None}))
    with pytest.raises(InputError) as refused:
        overlay.apply(parts_of("sd1"), tmp_path, allow_pickle=False)
    assert said in str(refused.value)


def test_a_rotation_needs_its_config(parts_of: PartsOf, tmp_path: Path) -> None:
    saved(KINDS["OFT"][0], tmp_path)
    with pytest.raises(InputError, match=r"settings are in adapter_config\.json; pass the folder"):
        overlay.apply(parts_of("sd1"), tmp_path / "adapter_model.safetensors", allow_pickle=False)
