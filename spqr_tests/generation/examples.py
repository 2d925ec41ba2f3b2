"""Examples: a benign set as a training sees it, encoded once."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.loading import require_finite
from spqr_tests.data.pictures import BenignSet
from spqr_tests.store.pictures import KnownPicture

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


@dataclass(frozen=True)
class Examples:
    """A benign set as the denoiser sees it, on the CPU."""

    folder: Path
    mean: "torch.Tensor"
    std: "torch.Tensor"
    """Of the latents (n, channels, rows, columns), float32."""
    text: "Mapping[str, torch.Tensor]"
    """Embeddings of the captions, each once, in the pipeline's dtype: T5's take 4 MB a caption even
    so. The last one may be the empty caption's.
    """
    captions: "torch.Tensor"
    """The row of `text` for each picture (n,)."""
    texts: tuple[str, ...] = ("",)
    """What `text` embeds."""
    prior: "Examples | None" = None
    """The class's images, for prior preservation."""

    def latents(
        self, rows: "torch.Tensor", device: "torch.device"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Mean and deviation of these pictures, float32, on the device."""
        return self.mean[rows].to(device), self.std[rows].to(device)

    def embedded(self, rows: "torch.Tensor", device: "torch.device") -> "dict[str, torch.Tensor]":
        """The embeddings of these pictures' captions, float32, on the device."""
        return {
            name: tensor[self.captions[rows]].to(device).float()
            for name, tensor in self.text.items()
        }

    def empty(self, device: "torch.device") -> "dict[str, torch.Tensor]":
        """The embedding of the empty caption, one row."""
        row = self.texts.index("")
        return {
            name: tensor[row : row + 1].to(device).float() for name, tensor in self.text.items()
        }

    def captions_of(self, rows: "torch.Tensor") -> list[str]:
        """The captions of these pictures."""
        return [self.texts[row] for row in self.captions[rows].tolist()]

    def batch(
        self, rows: "torch.Tensor", device: "torch.device"
    ) -> "tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]":
        """Mean, deviation and text of these pictures, float32, on the device."""
        return (*self.latents(rows, device), self.embedded(rows, device))


def encode(
    pipeline: Any,
    backbone: Backbone,
    benign: BenignSet,
    size: tuple[int, int],
    batch: int,
    *,
    with_empty: bool = False,
    caption: str | None = None,
) -> Examples:
    """The examples of a benign set that every profile is trained on.

    Pictures are of `size` (height, width). `with_empty` embeds the empty caption too; `caption` is
    for all pictures, in place of their own.

    Raises `EvidenceError` for a picture that cannot be read, and for embeddings or latents that are
    not finite.
    """
    import torch

    means, stds = [], []
    known = {picture.path: picture for picture in benign.known}
    with torch.inference_mode():
        for start in range(0, len(benign.pairs), batch):
            pixels = torch.stack(
                [_picture(known[path], size) for path, _ in benign.pairs[start : start + batch]]
            )
            mean, std = backbone.encode(pipeline, pixels.to(pipeline.device))
            means.append(mean.cpu())
            stds.append(std.cpu())
    # clone: autograd refuses tensors that inference mode made. They lie in memory as they do once
    # they were stored.
    mean, std = (
        torch.cat(one).clone(memory_format=torch.contiguous_format) for one in (means, stds)
    )
    return examples(
        pipeline,
        backbone,
        benign.folder,
        (mean, std),
        [own if caption is None else caption for _, own in benign.pairs],
        batch,
        with_empty=with_empty,
    )


def examples(
    pipeline: Any,
    backbone: Backbone,
    folder: Path,
    latents: "tuple[torch.Tensor, torch.Tensor]",
    captions: list[str],
    batch: int,
    *,
    with_empty: bool = False,
) -> Examples:
    """Examples of encoded pictures, mean and deviation, with their captions; as `encode`."""
    import torch

    unique = list(dict.fromkeys(captions))
    with torch.inference_mode():
        texts = [
            _embedded(pipeline, backbone, unique[start : start + batch])
            for start in range(0, len(unique), batch)
        ]
        if with_empty and "" not in unique:
            # Alone, so that the batches before it are what they are without it.
            texts.append(_embedded(pipeline, backbone, [""]))
    text = {name: torch.cat([part.pop(name) for part in texts]).clone() for name in list(texts[0])}
    mean, std = latents
    for what, tensor in (("mean", mean), ("deviation", std), *text.items()):
        require_finite(tensor, f"The {what} of the encoded set {folder}")
    row = {caption: number for number, caption in enumerate(unique)}
    listed = tuple(unique) if "" in unique or not with_empty else (*unique, "")
    return Examples(
        folder, mean, std, text, torch.tensor([row[caption] for caption in captions]), listed
    )


def _embedded(pipeline: Any, backbone: Backbone, texts: list[str]) -> "dict[str, torch.Tensor]":
    return {name: tensor.cpu() for name, tensor in backbone.embed(pipeline, texts).items()}


def _picture(picture: KnownPicture, size: tuple[int, int]) -> "torch.Tensor":
    """A picture as the VAE takes it: (3, height, width) in [-1, 1].

    The shorter side is resized, the centre cropped.
    """
    import torch
    from PIL import Image, ImageOps

    image = ImageOps.fit(Image.fromarray(picture.pixels()), size[::-1], Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1
