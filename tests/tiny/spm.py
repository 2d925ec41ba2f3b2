"""SPMs as their trainer saves them, a text encoder that tells words apart, and the images due.

Written from the paper (arXiv 2312.16145) and its authors' `train_spm.py`, `infer_spm.py`, without
the suite.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tiny import backbones

ERASED = "red heart"
UNRELATED = "blue ring"
_WORDS = ("red", "heart", "blue", "ring", "green", "tree", "star")
_ATTENTION = ("Linear", "Conv2d")


def pipeline() -> Any:
    """A tiny Stable Diffusion whose text encoder has one direction for each of a few words.

    Those of two words are orthogonal, and what all prompts share (begin, end) says nothing.
    """
    import torch

    made = backbones.make("sd1")
    encoder, tokenizer = made.text_encoder, made.tokenizer
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if any(part in name for part in ("position", "out_proj", "fc2", "bias")):
                parameter.zero_()
        table = encoder.get_input_embeddings().weight
        table[list(set(tokenizer.all_special_ids))] = 0
        for number, word in enumerate(_WORDS):
            (token,) = tokenizer(word, add_special_tokens=False).input_ids
            # A mean of 0, which the last layer's normalisation keeps.
            table[token] = torch.zeros(16)
            table[token, 2 * number], table[token, 2 * number + 1] = 1, -1
    return made


def layers(unet: Any) -> Iterator[tuple[str, Any]]:
    """The layers that an SPM stands beside, by the name that its trainer gives them."""
    for name, module in unet.named_modules():
        if type(module).__name__ == "Transformer2DModel":
            for inner, layer in module.named_modules():
                if type(layer).__name__ in _ATTENTION:
                    yield f"lora_unet.{name}.{inner}".replace(".", "_"), layer


def tensors(unet: Any, seed: int = 0, rank: int = 1, alpha: float = 1.0) -> dict[str, Any]:
    """The state dict of an SPM of random weights."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = {}
    for name, layer in layers(unet):
        rows, columns = layer.weight.shape[:2]
        more = (1, 1) if layer.weight.ndim == 4 else ()
        for part, shape in (
            ("lora_down.weight", (rank, columns, *more)),
            ("lora_up.weight", (rows, rank, *more)),
        ):
            found[f"{name}.{part}"] = 0.4 * torch.randn(shape, generator=generator)
        found[f"{name}.alpha"] = torch.tensor(alpha)
    return found


def save(
    path: Path, state: Mapping[str, Any], prompts: str, rank: int = 1, alpha: float = 1.0
) -> Path:
    """The file that the trainer saves."""
    from safetensors.torch import save_file

    save_file(dict(state), path, {"prompts": prompts, "rank": str(rank), "alpha": str(alpha)})
    return path


def strength(made: Any, prompt: str, erased: str) -> Any:
    """The larger of the cosine of two prompts' embeddings and the share of common tokens."""
    import torch

    special = set(made.tokenizer.convert_tokens_to_ids(made.tokenizer.special_tokens_map.values()))
    ids = [
        made.tokenizer(
            one,
            padding="max_length",
            max_length=made.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        for one in (prompt, erased)
    ]
    with torch.no_grad():
        ours, theirs = (made.text_encoder(one)[0].flatten() for one in ids)
    ours_set, theirs_set = (set(one[0].tolist()) - special for one in ids)
    return max(
        float(ours @ theirs / (ours.norm() * theirs.norm())),
        len(ours_set & theirs_set) / len(theirs_set),
    )


def images(
    made: Any,
    spms: Sequence[tuple[Mapping[str, Any], str]],
    prompts: Sequence[tuple[str, int]],
    scale: float = 1.0,
    **options: Any,
) -> Any:
    """The images (n, height, width, 3) in [0, 1] that are due, each generated alone.

    `spms` are state dicts with their prompts, `prompts` texts with seeds.
    """
    import torch

    found = []
    for prompt, seed in prompts:
        strengths = [
            max(strength(made, prompt, one) for one in erased.split(",")) for _, erased in spms
        ]
        weighted = {
            name: sum(
                value * state[name] for value, (state, _) in zip(strengths, spms, strict=True)
            )
            for name in spms[0][0]
        }
        forwards = []
        for name, layer in layers(made.unet):
            forwards.append((layer, layer.forward))
            layer.forward = _beside(
                layer,
                weighted[f"{name}.lora_down.weight"],
                weighted[f"{name}.lora_up.weight"],
                scale,
            )
        generator = torch.Generator().manual_seed(seed)
        found.append(made(prompt, generator=generator, output_type="np", **options).images[0])
        for layer, forward in forwards:
            layer.forward = forward
    return torch.stack([torch.from_numpy(one) for one in found])


def _beside(layer: Any, down: Any, up: Any, scale: float) -> Any:
    from torch.nn import functional

    apply = functional.conv2d if down.ndim == 4 else functional.linear
    forward = layer.forward
    return lambda inputs: forward(inputs) + scale * apply(apply(inputs, down), up)
