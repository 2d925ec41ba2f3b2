"""Packing: latents as patches of 2 x 2, one row each, as FLUX's pipelines give them to denoisers.

Their own helpers for that are private.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def packed(latents: "torch.Tensor") -> "torch.Tensor":
    """Latents (n, channels, rows, columns) as patches of 2 x 2: (n, patches, 4 channels)."""
    n, channels, rows, columns = latents.shape
    split = latents.view(n, channels, rows // 2, 2, columns // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return split.reshape(n, (rows // 2) * (columns // 2), channels * 4)


def unpacked(patches: "torch.Tensor", rows: int, columns: int) -> "torch.Tensor":
    """The latents (n, channels, 2 rows, 2 columns) of so many rows and columns of patches."""
    n, _, width = patches.shape
    split = patches.view(n, rows, columns, width // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return split.reshape(n, width // 4, 2 * rows, 2 * columns)


def positions(rows: int, columns: int) -> "torch.Tensor":
    """Each patch's row and column, after a 0: (rows * columns, 3)."""
    import torch

    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] = torch.arange(rows)[:, None]
    ids[..., 2] = torch.arange(columns)
    return ids.reshape(-1, 3)
