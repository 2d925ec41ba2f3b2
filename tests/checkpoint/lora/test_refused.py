"""LoRA files that are refused, and files that are not LoRAs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.checkpoint.lora.file import read as read_lora
from spqr_tests.errors import InputError
from tests.checkpoint.lora.files import ATTENTION, merged, read, save
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors

Q = f"unet.{ATTENTION}.attn1.to_q"
PAIR = {f"{Q}.lora_A.weight": torch.ones(2, 8), f"{Q}.lora_B.weight": torch.ones(8, 2)}
KOHYA = f"lora_unet_{ATTENTION.replace('.', '_')}_attn1_to_q"
DOWN, UP = f"{KOHYA}.lora_down.weight", f"{KOHYA}.lora_up.weight"
KOHYA_PAIR = {DOWN: torch.ones(2, 8), UP: torch.ones(8, 2)}


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (
            {**KOHYA_PAIR, f"{KOHYA}.dora_scale": torch.ones(1, 7)},
            ["another base", "dora_scale has 7 lengths", "is [8, 8]"],
        ),
        (
            {f"{KOHYA}.hada_w1_a": torch.ones(8, 2), f"{KOHYA}.alpha": torch.ones(())},
            ["damaged", "is a LoHa adapter", "hada_w1_a", "hada_w1_b matrix"],
        ),
        (
            {f"{KOHYA}.lokr_w1": torch.ones(8, 2)},
            ["damaged", "is a LoKr adapter", "lokr_w1", "lokr_w2 matrix"],
        ),
        (
            {f"{KOHYA}.lokr_w1": torch.ones(2, 2), f"{KOHYA}.lokr_w2": torch.ones(4, 5)},
            ["a LoKr adapter of another base", "[8, 10]", "is [8, 8]"],
        ),
        (
            {
                f"{KOHYA}.hada_w1_a": torch.ones(8, 2),
                f"{KOHYA}.hada_w1_b": torch.ones(2, 8),
                f"{KOHYA}.hada_w2_a": torch.ones(8, 2),
                f"{KOHYA}.hada_w2_b": torch.zeros(2, 8),
            },
            ["changes nothing"],
        ),
        (
            {f"{KOHYA}.hada_w1_a": torch.ones(8, 2), **KOHYA_PAIR},
            ["hada_w1_a, which is no part of a LoRA"],
        ),
        (
            {**KOHYA_PAIR, f"{KOHYA}.lora_mid.weight": torch.ones(3, 2, 3, 3)},
            ["damaged", "a core of the shape [3, 2, 3, 3], and the rank 2"],
        ),
        (
            {**KOHYA_PAIR, f"{KOHYA}.lora_mid.weight": torch.ones(2, 2, 3, 3)},
            ["another base", "[8, 8, 3, 3]"],
        ),
        (
            {f"{KOHYA}.oft_blocks": torch.ones(2, 4, 3)},
            ["damaged", "blocks of the shape [2, 4, 3], which are not square"],
        ),
        (
            {f"{KOHYA}.oft_blocks": torch.rand(3, 4, 4)},
            ["an OFT adapter of another base", "oft_blocks of the shape [3, 4, 4]", "is [8, 8]"],
        ),
        (
            {
                f"{KOHYA}.lokr_w1": torch.rand(2, 2),
                f"{KOHYA}.lokr_w2_a": torch.rand(4, 1),
                f"{KOHYA}.lokr_w2_b": torch.rand(1, 4, 1),
            },
            ["damaged", "multiplies [4, 1] by [1, 4, 1]"],
        ),
        ({f"{KOHYA}.oft_blocks": torch.ones(2, 4, 4)}, ["changes nothing"]),
        (
            {f"{KOHYA}.oft_blocks": torch.rand(2, 4, 4), f"{KOHYA}.rescale": torch.rand(7, 1)},
            ["an OFT adapter of another base", "rescale of the shape [7, 1]"],
        ),
        (
            {
                f"{KOHYA}.lokr_w1": torch.rand(2, 2),
                f"{KOHYA}.lokr_w2_a": torch.rand(0, 4),
                f"{KOHYA}.lokr_w2_b": torch.rand(0, 4),
                f"{KOHYA}.lokr_t2": torch.rand(0, 0, 3, 3),
                f"{KOHYA}.alpha": torch.ones(()),
            },
            ["damaged", "a core of the shape [0, 0, 3, 3]"],
        ),
        (
            {f"{Q}.boft_R": torch.rand(1, 2, 4, 4), f"{Q}.boft_s": torch.ones(())},
            ["a BOFT adapter of another base", "is [8, 8]"],
        ),
        (
            {f"{Q}.boft_R": torch.rand(2, 2, 4, 4), f"{Q}.boft_s": torch.ones(8, 1)},
            ["BOFT of 2 butterfly factors, which peft computes by a CUDA extension"],
        ),
        ({f"{Q}.ia3_l": torch.ones(8, 1)}, ["changes nothing"]),
        ({f"{Q}.ia3_l": torch.rand(7, 1)}, ["an (IA)3 adapter of another base", "is [8, 8]"]),
        (
            {f"{KOHYA}.weight": torch.rand(7), f"{KOHYA}.on_input": torch.tensor(1)},
            ["an (IA)3 adapter of another base", "is [8, 8]"],
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
    parts_of: PartsOf, tmp_path: Path, tensors: Tensors, says: list[str]
) -> None:
    file = save(tmp_path / "refused.safetensors", tensors)
    with pytest.raises(InputError) as refusal:
        read_lora(file, parts_of("sd1"))
    for words in ("refused.safetensors", *says):
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"peft_type": "LOHA", "r": 2}, ["is a LoRA, and the adapter config says", "LOHA"]),
        ({"peft_type": ["LORA"]}, ["the type", "only LORA, LOHA, LOKR, OFT, BOFT, IA3 are"]),
        ({"r": 2, "use_dora": True}, ["damaged", "is a DoRA", "no lora_magnitude_vector"]),
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
    parts_of: PartsOf, tmp_path: Path, config: dict[str, Any], says: list[str]
) -> None:
    file = save(tmp_path / "adapter_model.safetensors", PAIR)
    with pytest.raises(InputError) as refusal:
        read_lora(file, parts_of("sd1"), config)
    metadata = {
        "lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in config.items()})
    }
    with pytest.raises(InputError) as same:
        read_lora(save(tmp_path / "adapter_model.safetensors", PAIR, metadata), parts_of("sd1"))
    assert str(same.value) == str(refusal.value)
    for words in ("adapter_model.safetensors", *says):
        assert words in str(refusal.value)


def test_metadata_that_is_refused(parts_of: PartsOf, tmp_path: Path) -> None:
    for text in ("[1]", "{", "[" * 5000):
        file = save(tmp_path / "meta.safetensors", PAIR, {"lora_adapter_metadata": text})
        with pytest.raises(InputError, match="lora_adapter_metadata is not a JSON table"):
            read_lora(file, parts_of("sd1"))
    twice = save(
        tmp_path / "meta.safetensors",
        PAIR | {f"{Q}.alpha": torch.ones(())},
        {"lora_adapter_metadata": '{"unet.r": 2, "unet.lora_alpha": 2}'},
    )
    with pytest.raises(InputError, match=r"gives the scale of .* twice"):
        read_lora(twice, parts_of("sd1"))


def test_text_encoders_are_distinguished_by_their_shapes(parts_of: PartsOf, tmp_path: Path) -> None:
    parts = parts_of("sdxl")
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


def test_text_encoders_of_one_shape_must_be_named(parts_of: PartsOf, tmp_path: Path) -> None:
    parts = parts_of("sdxl")
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


def test_values_that_are_not_finite_are_refused(parts_of: PartsOf, tmp_path: Path) -> None:
    found = read(
        save(
            tmp_path / "nan.safetensors",
            {DOWN: torch.full((2, 8), torch.nan), UP: torch.ones(8, 2)},
        ),
        parts_of("sd1"),
    )
    with pytest.raises(
        InputError, match=r"nan\.safetensors adds values that are not finite to the unet's .*to_q"
    ):
        merged(parts_of("sd1"), found.lora)


def test_other_files_are_not_adapters(parts_of: PartsOf, tmp_path: Path) -> None:
    assert (
        read_lora(
            save(tmp_path / "a.safetensors", {"conv_in.weight": torch.ones(8, 4, 3, 3)}),
            parts_of("sd1"),
        )
        is None
    )
