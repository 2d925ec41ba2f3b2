"""DreamBooth: images of the class, which the checkpoint itself generates (arXiv 2208.12242)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.examples import Examples, examples
from spqr_tests.generation.generations import Generation
from spqr_tests.settings.trainer import PriorSettings
from spqr_tests.store import digest

_SEEDS = 2**32


def prompts(prior: PriorSettings, seed: int) -> list[Prompt]:
    """The prompts of the class's images: one text, and a seed for each that `seed` decides."""
    return [
        Prompt(
            prior.class_prompt,
            int(digest.of_json(["class", seed, number])[:16], 16) % _SEEDS,
        )
        for number in range(prior.images)
    ]


def encode(
    pipeline: Any, backbone: Backbone, images: Sequence[Generation], folder: Path, batch: int
) -> Examples:
    """The class's images as a training sees them; `folder` is the benign set's, for messages."""
    import torch

    latents = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            pixels = torch.stack(
                [
                    torch.from_numpy(image.pixels().copy()).permute(2, 0, 1).float() / 127.5 - 1
                    for image in images[start : start + batch]
                ]
            )
            mean, std = backbone.encode(pipeline, pixels.to(pipeline.device))
            latents.append((mean.cpu(), std.cpu()))
    # clone: autograd refuses tensors that inference mode made.
    mean, std = (torch.cat(parts).clone() for parts in zip(*latents, strict=True))
    captions = [image.prompt.text for image in images]
    return examples(pipeline, backbone, folder, (mean, std), captions, batch)
