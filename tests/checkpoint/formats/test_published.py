"""Every row of the tables in docs/checkpoints.md: the file is written, loaded, and paints what the original paints."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from tests.checkpoint.formats.originals import original
from tests.tiny import backbones

DOCUMENT = Path(__file__).parents[3] / "docs" / "checkpoints.md"


@dataclass(frozen=True)
class Shelf:
    """Where a row writes its files, and the base that it starts from."""

    folder: Path
    folder_of: Callable[[str], Path]

    def base(self, name: str = "sd1") -> Any:
        return backbones.make(name)

    def changed(self, name: str = "sd1", component: str = "unet", part: str = "") -> Any:
        """The base after a safety method changed some of a component's tensors."""
        import torch

        pipeline = self.base(name)
        with torch.no_grad():
            for tensor, parameter in getattr(pipeline, component).named_parameters():
                if part in tensor:
                    parameter.mul_(1.1).add_(0.02)
        return pipeline

    def safetensors(self, tensors: Mapping[str, Any], name: str = "model.safetensors") -> Path:
        from safetensors.torch import save_file

        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, self.folder / name)
        return self.folder / name

    def pickle(self, content: Any, name: str = "model.pt") -> Path:
        import torch

        torch.save(content, self.folder / name)
        return self.folder / name


@dataclass(frozen=True)
class Typed:
    """What the user types, and the pipeline that must come of it."""

    expected: Any
    model: Path | None = None
    base: str = "sd1"
    overlay: Path | None = None
    config: str | None = None
    pickle: bool = False
    dtype: str = "float32"
    options: dict[str, Any] = field(default_factory=dict)


Row = Callable[[Shelf], Typed]
ROWS: dict[str, Row] = {}


def row(name: str) -> Callable[[Row], Row]:
    def keep(function: Row) -> Row:
        ROWS[name] = function
        return function

    return keep


# A whole model


@row("diffusers pipeline folder")
def _(shelf: Shelf) -> Typed:
    return Typed(shelf.base("sdxl"), shelf.folder_of("sdxl"))


@row("the same with fp16 or bf16 files only")
def _(shelf: Shelf) -> Typed:
    import torch

    pipeline = shelf.base("sd3").to(torch.float16)
    pipeline.save_pretrained(shelf.folder / "model", variant="fp16")
    assert not list((shelf.folder / "model").rglob("diffusion_pytorch_model.safetensors"))
    return Typed(pipeline.to(torch.float32), shelf.folder / "model")


@row("the same in shards")
def _(shelf: Shelf) -> Typed:
    pipeline = shelf.base("flux")
    pipeline.save_pretrained(shelf.folder / "model", max_shard_size="40KB")
    assert (
        shelf.folder / "model" / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    ).is_file()
    assert (shelf.folder / "model" / "text_encoder" / "model.safetensors.index.json").is_file()
    return Typed(pipeline, shelf.folder / "model")


@row("the same with `.bin` weights")
def _(shelf: Shelf) -> Typed:
    import torch

    pipeline = shelf.base("sd1")
    folder = shelf.folder / "model"
    pipeline.save_pretrained(folder, safe_serialization=False)
    # transformers 5 writes safetensors whatever it is asked.
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    torch.save(pipeline.text_encoder.state_dict(), folder / "text_encoder" / "pytorch_model.bin")
    return Typed(pipeline, folder, pickle=True)


@row("single file, Stable Diffusion 1.x")
def _(shelf: Shelf) -> Typed:
    return _single(shelf, "sd1")


@row("single file, Stable Diffusion 2.x")
def _(shelf: Shelf) -> Typed:
    return _single(shelf, "sd2")


@row("single file, SDXL")
def _(shelf: Shelf) -> Typed:
    return _single(shelf, "sdxl")


@row("single file, SD3 and SD3.5 with both CLIP encoders")
def _(shelf: Shelf) -> Typed:
    pipeline = shelf.base("sd3")
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    pipeline.save_pretrained(shelf.folder / "configs")
    return Typed(
        pipeline, shelf.safetensors(original(pipeline, "sd3")), config=str(shelf.folder / "configs")
    )


@row("single `.ckpt`")
def _(shelf: Shelf) -> Typed:
    pipeline = shelf.base()
    content = {"state_dict": original(pipeline, "sd1"), "global_step": 10, "epoch": 1}
    return Typed(
        pipeline,
        shelf.pickle(content, "model.ckpt"),
        config=str(shelf.folder_of("sd1")),
        pickle=True,
    )


def _single(shelf: Shelf, name: str) -> Typed:
    # A tiny model is no published architecture, so it always needs its configs.
    pipeline = shelf.base(name)
    return Typed(
        pipeline, shelf.safetensors(original(pipeline, name)), config=str(shelf.folder_of(name))
    )


# What a safety method ships


@row("ESD")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed(part="attn1")
    return Typed(changed, overlay=shelf.pickle(changed.unet.state_dict(), "esd.pt"), pickle=True)


@row("ESD, newer")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed(part="attn2")
    trained = {
        name: tensor for name, tensor in changed.unet.state_dict().items() if "attn2" in name
    }
    return Typed(changed, overlay=shelf.safetensors(trained, "esd.safetensors"))


@row("ESD, CompVis")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed()
    return Typed(
        changed,
        overlay=shelf.pickle(original(changed, "sd1", denoiser_only=True), "esd.pt"),
        pickle=True,
    )


@row("UCE")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed(part="attn2.to_k")
    written = {
        name: tensor
        for name, tensor in changed.unet.state_dict().items()
        if re.search(r"attn2\.to_[kv]", name)
    }
    return Typed(changed, overlay=shelf.safetensors(written, "uce.safetensors"))


@row("UCE, older; RECE; ResAlign")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed("sd2")
    return Typed(
        changed, base="sd2", overlay=shelf.pickle(changed.unet.state_dict(), "unet.pt"), pickle=True
    )


@row("MACE, FMN")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed()
    changed.save_pretrained(shelf.folder / "mace")
    return Typed(changed, shelf.folder / "mace")


@row("SalUn, Scissorhands, EraseDiff")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed()
    return Typed(
        changed,
        overlay=shelf.pickle({"state_dict": original(changed, "sd1")}, "salun.pt"),
        pickle=True,
    )


@row("SalUn, Scissorhands, EraseDiff, converted")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed()
    return Typed(changed, overlay=shelf.pickle(changed.unet.state_dict(), "unet.pt"), pickle=True)


@row("AdvUnlearn")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed(component="text_encoder")
    changed.text_encoder.save_pretrained(shelf.folder / "text_encoder")
    return Typed(changed, overlay=shelf.folder / "text_encoder")


@row("AdvUnlearn, file")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed(component="text_encoder")
    state = {
        f"text_encoder.text_model.{name}": tensor
        for name, tensor in _clip_state(changed.text_encoder).items()
    }
    return Typed(changed, overlay=shelf.pickle(state, "text_encoder.pt"), pickle=True)


@row("a UNet or transformer folder")
def _(shelf: Shelf) -> Typed:
    changed = shelf.changed("sd3", "transformer")
    changed.transformer.save_pretrained(shelf.folder / "transformer")
    return Typed(changed, base="sd3", overlay=shelf.folder / "transformer")


@row("SD3 transformer")
def _(shelf: Shelf) -> Typed:
    return _transformer(shelf, "sd3")


@row("FLUX transformer")
def _(shelf: Shelf) -> Typed:
    return _transformer(shelf, "flux")


def _transformer(shelf: Shelf, name: str) -> Typed:
    changed = shelf.changed(name, "transformer")
    written = original(changed, name, denoiser_only=True, bare=name == "flux")
    return Typed(changed, base=name, overlay=shelf.safetensors(written))


@row("SPM")
def _(shelf: Shelf) -> Typed:
    changed = shelf.base()
    tensors = {}
    for module in (
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q",
        "down_blocks.0.resnets.0.conv1",
    ):
        tensors |= _kohya(
            f"lora_unet_{module.replace('.', '_')}", changed.unet.get_submodule(module), rank=1
        )
    return Typed(changed, overlay=shelf.safetensors(tensors))


@row("LoRA, diffusers")
def _(shelf: Shelf) -> Typed:
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    changed = shelf.base()
    changed.unet.add_adapter(
        LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )
    state = get_peft_model_state_dict(changed.unet)
    type(changed).save_lora_weights(shelf.folder / "lora", unet_lora_layers=state)
    fresh = shelf.base()
    fresh.load_lora_weights(shelf.folder / "lora")
    fresh.fuse_lora()
    fresh.unload_lora_weights()
    assert not torch.equal(
        *(
            p.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q.weight
            for p in (fresh, shelf.base())
        )
    )
    return Typed(fresh, overlay=shelf.folder / "lora" / "pytorch_lora_weights.safetensors")


@row("LoRA, peft")
def _(shelf: Shelf) -> Typed:
    from peft import LoraConfig, get_peft_model

    changed = shelf.base("sd3")
    settings = LoraConfig(
        r=4, lora_alpha=8, target_modules=["to_q", "add_k_proj"], init_lora_weights=False
    )
    adapted = get_peft_model(deepcopy(changed.transformer), settings)
    adapted.save_pretrained(shelf.folder / "adapter")
    changed.transformer = adapted.merge_and_unload()
    return Typed(changed, base="sd3", overlay=shelf.folder / "adapter")


@row("LoRA, kohya, SD1 or SDXL")
def _(shelf: Shelf) -> Typed:
    changed = shelf.base("sdxl")
    unet = changed.unet
    tensors = _kohya(
        # As SDXL's authors name the block, which is how kohya's trainer does.
        "lora_unet_input_blocks_3_1_transformer_blocks_1_attn2_to_k",
        unet.down_blocks[1].attentions[0].transformer_blocks[1].attn2.to_k,
    )
    first = _layer(changed.text_encoder)
    tensors |= _kohya(
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj", first.self_attn.q_proj
    )
    tensors |= _kohya(
        "lora_te2_text_model_encoder_layers_0_mlp_fc1", _layer(changed.text_encoder_2).mlp.fc1
    )
    return Typed(changed, base="sdxl", overlay=shelf.safetensors(tensors))


@row("LoRA, kohya, FLUX")
def _(shelf: Shelf) -> Typed:
    import torch

    changed = shelf.base("flux")
    attention = changed.transformer.transformer_blocks[0].attn
    joined = torch.nn.Linear(32, 96)
    tensors = _kohya("lora_unet_double_blocks_0_img_attn_qkv", joined, added := torch.zeros(96, 32))
    with torch.no_grad():
        for module, rows in zip(
            (attention.to_q, attention.to_k, attention.to_v), added.chunk(3), strict=True
        ):
            module.weight += rows
    return Typed(changed, base="flux", overlay=shelf.safetensors(tensors))


def _layer(encoder: Any) -> Any:
    # transformers 5 dropped a level.
    return getattr(encoder, "text_model", encoder).encoder.layers[0]


def _clip_state(encoder: Any) -> dict[str, Any]:
    return {
        name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()
    }


def _kohya(
    name: str, module: Any, added: Any = None, *, rank: int = 2, alpha: float = 0.5
) -> dict[str, Any]:
    """A kohya adapter for a module, which is changed as the adapter says (or `added` is filled with the change)."""
    import torch

    weight = module.weight
    generator = torch.Generator().manual_seed(len(name))
    down = torch.randn((rank, *weight.shape[1:]), generator=generator)
    up = torch.randn((weight.shape[0], rank, *[1] * (weight.ndim - 2)), generator=generator)
    change = (alpha / rank) * torch.einsum("or,r...->o...", up.flatten(1), down)
    with torch.no_grad():
        (weight if added is None else added).add_(change)
    return {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": torch.tensor(alpha),
    }


# The tests


@pytest.mark.parametrize("name", ROWS)
def test_what_is_published_paints_what_the_original_paints(
    name: str, tmp_path: Path, pipeline_folder_of: Callable[[str], Path]
) -> None:
    import torch

    typed = ROWS[name](Shelf(tmp_path, pipeline_folder_of))
    loaded = _read(typed, pipeline_folder_of)
    painted = _painted(loaded.pipeline("cpu", "float32"))
    torch.testing.assert_close(painted, _painted(typed.expected), rtol=0, atol=1e-5)
    if typed.overlay is not None:
        base = read("base", pipeline_folder_of(typed.base))
        assert loaded.fingerprint != base.fingerprint
        assert (painted - _painted(base.pipeline("cpu", "float32"))).abs().max() > 1e-3
        assert typed.overlay.name in loaded.recognised[-1]
        assert "tensors" in loaded.recognised[-1]


def _read(typed: Typed, folder_of: Callable[[str], Path]) -> Checkpoint:
    model = folder_of(typed.base) if typed.model is None else typed.model
    overlays = [typed.overlay] if typed.overlay is not None else []
    return read(
        str(model), model, overlays=overlays, config=typed.config, allow_pickle=typed.pickle
    )


def _painted(pipeline: Any) -> Any:
    import torch

    options = {
        "num_inference_steps": 2,
        "height": backbones.SIDE,
        "width": backbones.SIDE,
        "output_type": "np",
    }
    return torch.from_numpy(
        pipeline("a red heart", generator=torch.Generator().manual_seed(3), **options).images
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ROWS
        if "single" in name or name in {"the same in shards", "the same with `.bin` weights"}
    ],
)
def test_one_model_has_one_fingerprint_in_every_format(
    name: str, tmp_path: Path, pipeline_folder_of: Callable[[str], Path]
) -> None:
    typed = ROWS[name](Shelf(tmp_path, pipeline_folder_of))
    typed.expected.save_pretrained(tmp_path / "folder")
    assert (
        _read(typed, pipeline_folder_of).fingerprint
        == read("folder", tmp_path / "folder").fingerprint
    )


def test_the_documents_rows_and_the_tests_are_the_same() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split("## Backbones")[0]
    named = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    rows = [name for name in named if name not in {"---", "format", "method"}]
    # A hub id needs a hub: test_hub.py starts one.
    assert sorted(rows) == sorted([*ROWS, "hub id"])
