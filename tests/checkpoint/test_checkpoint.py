"""Checkpoints: whatever the user named is loaded strictly, or refused with the reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.errors import InputError
from spqr_tests.settings.finetuning import OptimizerSettings
from spqr_tests.settings.sampler import SamplerSettings
from tests.tiny import edit_json, edit_tensors, protocol

UNET = "unet/diffusion_pytorch_model.safetensors"
TRAINED = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            Path.exists,
            (
                "there is no such file or folder. Pass a diffusers pipeline folder, a single"
                " .safetensors file, or a hub"
            ),
        ),
        (lambda path: path.mkdir(), "is not a checkpoint: it has no model_index.json"),
        (lambda path: path.write_bytes(b"no weights"), "thing"),
    ],
    ids=["nothing", "empty folder", "some file"],
)
def test_what_is_not_a_checkpoint_is_refused(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(InputError, match=sentence):
        read(str(path), path)


@pytest.mark.parametrize(
    "name", ["config.json", "adapter_config.json", "pytorch_lora_weights.safetensors"]
)
def test_a_part_of_a_pipeline_is_sent_to_the_overlays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(
        InputError,
        match=(
            rf"holds {name} and no model_index\.json.* as --model, and this folder as"
            r" --spqr-overlay"
        ),
    ):
        read("part", tmp_path)


def test_configs_are_for_single_files(base: Path) -> None:
    with pytest.raises(InputError, match=r"--spqr-config sd1: .* brings its own configs"):
        read("some", base, config="sd1")


def test_what_was_read_is_said(base: Path, overlay: Path) -> None:
    folder, changed = read("some", base, overlays=[overlay]).recognised
    assert (
        folder == "some is a pipeline folder: unet/diffusion_pytorch_model.safetensors,"
        " vae/diffusion_pytorch_model.safetensors, text_encoder/model.safetensors"
    )
    assert changed.startswith("overlay.safetensors: 1 of the unet's ")


def _first(tensors: dict[str, Any]) -> str:
    return min(name for name in tensors if name.endswith("weight"))


def _overstate(path: Path) -> None:
    """Make a header that claims two elements where there are bytes for one."""
    import json

    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize(
    "file", [UNET, "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
)
@pytest.mark.parametrize(
    "damage",
    [_overstate, lambda path: path.write_bytes(path.read_bytes()[:-4])],
    ids=["false header", "cut"],
)
def test_weights_that_cannot_be_read_are_refused(
    folder: Path, file: str, damage: Callable[[Path], object]
) -> None:
    damage(folder / file)
    with pytest.raises(InputError, match=file.split("/", maxsplit=1)[0]):
        read("some", folder)


def test_leftover_position_ids_are_accepted(folder: Path) -> None:
    import torch

    ids = {"text_model.embeddings.position_ids": torch.arange(32)[None]}
    edit_tensors(folder / "text_encoder/model.safetensors", lambda tensors: tensors.update(ids))
    read("some", folder).pipeline("cpu", "float32")


def test_a_safety_checker_that_the_index_names_is_left_out(folder: Path) -> None:
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    edit_json(folder / "model_index.json", lambda table: table.update(safety_checker=checker))
    assert read("some", folder).pipeline("cpu", "float32").safety_checker is None


@pytest.fixture
def overlay(base: Path, tmp_path: Path) -> Path:
    """One cross-attention tensor of the denoiser, doubled, in half precision."""
    tensor = load_file(base / UNET)[TRAINED]
    save_file({TRAINED: (tensor * 2).half()}, tmp_path / "overlay.safetensors")
    return tmp_path / "overlay.safetensors"


def test_an_overlay_changes_exactly_its_tensors(base: Path, overlay: Path) -> None:
    import torch

    plain, changed = (
        read("some", base, overlays=given).pipeline("cpu", "float32").unet.state_dict()
        for given in ([], [overlay])
    )
    assert {name for name in plain if not torch.equal(plain[name], changed[name])} == {TRAINED}
    torch.testing.assert_close(
        changed[TRAINED], (plain[TRAINED] * 2).half().float(), rtol=0, atol=0
    )


def test_the_last_overlay_counts(base: Path, overlay: Path, tmp_path: Path) -> None:
    import torch

    save_file(
        {TRAINED: torch.zeros_like(load_file(overlay)[TRAINED])}, tmp_path / "zeros.safetensors"
    )
    both = read("some", base, overlays=[overlay, tmp_path / "zeros.safetensors"])
    assert both.pipeline("cpu", "float32").unet.state_dict()[TRAINED].abs().max() == 0
    assert len(both.recognised) == 3


def test_an_overlay_whose_weights_are_not_finite_is_named(base: Path, overlay: Path) -> None:
    edit_tensors(overlay, lambda tensors: tensors[TRAINED].fill_(float("nan")))
    with pytest.raises(
        InputError,
        match=(
            r"overlay\.safetensors: the weights of .*attn2.to_k.weight \(unet\) are not all finite"
        ),
    ):
        read("some", base, overlays=[overlay]).pipeline("cpu", "float32")


def test_weights_cannot_be_replaced_under_a_lora(base: Path, overlay: Path, tmp_path: Path) -> None:
    import torch

    rows, columns = load_file(base / UNET)[TRAINED].shape
    module = f"unet.{TRAINED.removesuffix('.weight')}"
    adapter = tmp_path / "lora.safetensors"
    save_file(
        {
            f"{module}.lora_A.weight": torch.ones(1, columns),
            f"{module}.lora_B.weight": torch.ones(rows, 1),
        },
        adapter,
    )
    merged = (
        read("some", base, overlays=[overlay, adapter])
        .pipeline("cpu", "float32")
        .unet.state_dict()[TRAINED]
    )
    torch.testing.assert_close(merged, load_file(overlay)[TRAINED].float() + 1, rtol=0, atol=1e-2)
    with pytest.raises(
        InputError, match="to which an earlier overlay adds a LoRA; put the LoRA after it"
    ):
        read("some", base, overlays=[adapter, overlay])


def test_a_protocol_is_settled_on_the_checkpoint(base: Path) -> None:
    asked = SamplerSettings(
        steps="checkpoint", guidance="checkpoint", height="checkpoint", width=32
    )
    settled = read("some", base).settled(protocol(sampler=asked)).sampler
    assert (settled.steps, settled.guidance, settled.height, settled.width) == (50, 7.5, 16, 32)


def test_a_protocol_that_the_checkpoint_cannot_be_measured_by_is_refused(base: Path) -> None:
    checkpoint = read("some", base)
    with pytest.raises(
        InputError,
        match=r"sampler\.height is 33, and this Stable Diffusion checkpoint generates multiples of",
    ):
        checkpoint.settled(protocol(sampler=SamplerSettings(height=33)))
    assert (
        checkpoint.settled(
            protocol(finetuning=OptimizerSettings(min_snr_gamma=5))
        ).finetuning.min_snr_gamma
        == 5
    )


def test_what_is_sampled_is_said_and_what_is_assumed(base: Path) -> None:
    checkpoint = read("some", base)
    said = checkpoint.sampling(SamplerSettings(steps=20, guidance=4, height=16, width=32))
    assert said.startswith("20 steps at guidance 4, 32 x 16 px; assumed not to be distilled, since")
    assert "set sampler.steps and sampler.guidance" in said


def test_a_distilled_model_is_said_next_to_the_protocols_numbers(
    base: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "lcm"))
    for path, key in (
        ("model_index.json", "scheduler"),
        ("scheduler/scheduler_config.json", "_class_name"),
    ):
        edit_json(
            folder / path,
            lambda table, key=key: table.update(
                {key: ["diffusers", "LCMScheduler"] if key == "scheduler" else "LCMScheduler"}
            ),
        )
    checkpoint = read("some", folder)
    said = checkpoint.sampling(SamplerSettings(height=16, width=16))
    assert said == (
        "50 steps at guidance 7.5, 16 x 16 px; its configs are those of a latent consistency model"
        " (LCM), which its authors sample with 4 steps at guidance 0, 16 px: 'checkpoint' in the"
        " protocol's sampler takes those"
    )
    asked = SamplerSettings(
        steps="checkpoint", guidance="checkpoint", height="checkpoint", width="checkpoint"
    )
    settled = checkpoint.settled(protocol(sampler=asked)).sampler
    assert (settled.steps, settled.guidance) == (4, 0)
    assert checkpoint.sampling(settled).endswith("which its authors sample with these numbers")


def test_a_plan_says_whose_weights_are_not_there(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "indexed"))
    whole = folder / UNET
    names = list(load_file(whole))
    whole.rename(whole.with_name("part-1-of-1.safetensors"))
    whole.with_name(f"{whole.name}.index.json").write_text(
        json.dumps({"weight_map": dict.fromkeys(names, "part-1-of-1.safetensors")}),
        encoding="utf-8",
    )
    assert not read("some", folder, weightless=True).weightless
    whole.with_name("part-1-of-1.safetensors").unlink()
    planned = read("some", folder, weightless=True)
    assert planned.weightless
    assert (
        "no weights of the unet, vae/diffusion_pytorch_model.safetensors" in (planned.recognised[0])
    )
    with pytest.raises(
        InputError, match=r"names part-1-of-1\.safetensors, which is not next to it"
    ):
        read("some", folder)
