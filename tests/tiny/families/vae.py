"""The autoencoder of many families."""

from typing import Any


def vae(channels: int, **changed: Any) -> Any:
    """An AutoencoderKL of two levels: latents of half the side."""
    from diffusers import AutoencoderKL

    settings: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "latent_channels": channels,
        "sample_size": 32,
    }
    return AutoencoderKL(**settings | changed)
