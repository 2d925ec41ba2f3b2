"""LoRAs of the families that are read from folders, in the names of the model's authors."""

from pathlib import Path

import pytest
import torch

from tests.checkpoint.lora.files import fused, kohya, merged, peft, read, save
from tests.checkpoint.tiny_pipelines import PartsOf, Tensors, state

# Names in files, each with the layer's inputs and outputs, and how many tensors of ours they are.
FLUX_2 = {
    "double_blocks.0.img_attn.qkv": (32, 96),
    "double_blocks.0.txt_attn.qkv": (32, 96),
    "double_blocks.0.txt_attn.proj": (32, 32),
    "double_blocks.0.img_mlp.2": (96, 32),
    "single_blocks.1.linear1": (32, 288),
}
Z_IMAGE = {"layers.1.attention.qkv": (32, 96), "layers.0.attention.out": (32, 32)}


@pytest.mark.parametrize(
    ("name", "layers", "alpha", "names", "count"),
    [
        ("flux-2-klein", FLUX_2, None, "peft's", 9),
        ("z-image", Z_IMAGE, 1.5, "kohya's", 4),
    ],
)
def test_loras_in_the_authors_names(
    name: str,
    layers: dict[str, tuple[int, int]],
    alpha: float | None,
    names: str,
    count: int,
    parts_of: PartsOf,
    tmp_path: Path,
) -> None:
    generator = torch.Generator().manual_seed(1)
    pairs = {
        layer: (
            0.3 * torch.randn(3, inputs, generator=generator),
            torch.randn(outputs, 3, generator=generator),
        )
        for layer, (inputs, outputs) in layers.items()
    }
    tensors: Tensors = (
        peft("diffusion_model.", pairs) if alpha is None else kohya("lora_unet", pairs, alpha)
    )
    file = save(tmp_path / "lora.safetensors", tensors)
    found = read(file, parts_of(name))
    assert found.names == names
    ours = merged(parts_of(name), found.lora)["transformer"]
    theirs = state(fused(name, file.path).transformer)
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[key], rtol=1e-5, atol=1e-6, msg=key)
    base = parts_of(name).models["transformer"].tensors
    assert sum(not torch.equal(one, base[key].tensor()) for key, one in ours.items()) == count
