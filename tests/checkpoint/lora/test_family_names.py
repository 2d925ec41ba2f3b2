"""LoRAs of the families that are read from folders, in the names of the model's authors."""

from pathlib import Path

import pytest
import torch

from spqr_tests.errors import InputError
from tests.checkpoint.lora.files import fused, kohya, matrices, merged, peft, read, save
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors, state
from tests.tiny import backbones

Layers = dict[str, tuple[str, ...]]

_JOINT = "transformer_blocks.0.attn"
# A layer in the authors' names, and ours in the order in which it stacks their rows.
FLUX_2: Layers = {
    "double_blocks.0.img_attn.qkv": (f"{_JOINT}.to_q", f"{_JOINT}.to_k", f"{_JOINT}.to_v"),
    "double_blocks.0.txt_attn.qkv": tuple(f"{_JOINT}.add_{one}_proj" for one in "qkv"),
    "double_blocks.0.txt_attn.proj": (f"{_JOINT}.to_add_out",),
    "double_blocks.0.img_mlp.2": ("transformer_blocks.0.ff.linear_out",),
    "single_blocks.1.linear1": ("single_transformer_blocks.1.attn.to_qkv_mlp_proj",),
}
Z_IMAGE: Layers = {
    "layers.1.attention.qkv": tuple(f"layers.1.attention.to_{one}" for one in "qkv"),
    "layers.0.attention.out": ("layers.0.attention.to_out.0",),
}
LUMINA_2: Layers = {
    "layers.1.attention.qkv": tuple(f"layers.1.attn.to_{one}" for one in "qkv"),
    "noise_refiner.0.feed_forward.w3": ("noise_refiner.0.feed_forward.linear_3",),
}


def _pairs(name: str, layers: Layers) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Random down and up matrices of the authors' layers."""
    transformer = backbones.make(name).transformer
    found = {}
    for layer, ours in layers.items():
        pairs = matrices(transformer, ours)
        found[layer] = (pairs[ours[0]][0], torch.cat([up for _, up in pairs.values()]))
    return found


@pytest.mark.parametrize(
    ("name", "layers", "alpha"),
    [
        ("flux-2-klein", FLUX_2, None),
        ("z-image", Z_IMAGE, 1.5),
        ("lumina-2", LUMINA_2, None),
    ],
)
def test_loras_in_the_authors_names(
    name: str, layers: Layers, alpha: float | None, parts_of: PartsOf, tmp_path: Path
) -> None:
    pairs = _pairs(name, layers)
    tensors: Tensors = (
        peft("diffusion_model.", pairs) if alpha is None else kohya("lora_unet", pairs, alpha)
    )
    file = save(tmp_path / "lora.safetensors", tensors)
    found = read(file, parts_of(name))
    assert found.names == ("peft's" if alpha is None else "kohya's")
    ours = merged(parts_of(name), found.lora)["transformer"]
    base = parts_of(name).models["transformer"].tensors
    expected = {key: one.tensor() for key, one in base.items()}
    for layer, (down, up) in pairs.items():
        weights = [f"{module}.weight" for module in layers[layer]]
        # W + alpha / r x up x down, of all rows that the layer stacks (arXiv 2106.09685).
        added = (1 if alpha is None else alpha / len(down)) * up @ down
        rows = added.split([len(expected[weight]) for weight in weights])
        expected |= {key: expected[key] + change for key, change in zip(weights, rows, strict=True)}
    assert ours.keys() == expected.keys()
    for key, tensor in ours.items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-5, atol=1e-6, msg=key)
    if name == "flux-2-klein":
        for key, tensor in state(fused(name, file.path).transformer).items():
            torch.testing.assert_close(ours[key], tensor, rtol=1e-5, atol=1e-6, msg=key)


def test_a_layer_under_both_names_is_refused(parts_of: PartsOf, tmp_path: Path) -> None:
    pairs = _pairs("z-image", Z_IMAGE)
    twice = matrices(backbones.make("z-image").transformer, ("layers.1.attention.to_k",))
    tensors = peft("diffusion_model.", pairs | twice)
    with pytest.raises(InputError, match=r"changes the transformer's .*to_k\.weight twice"):
        read(save(tmp_path / "lora.safetensors", tensors), parts_of("z-image"))
