"""The autoencoder of all backbones: between pixels and latents in the denoiser's units."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PIXELS = 2**22
"""Pixels decoded at once: 16 images of 512 by 512 pixels, or 4 of 1024 by 1024."""


def downsampling(config: Mapping[str, Any]) -> int:
    """Pixels a side of one row of latents; `KeyError` or `TypeError` where a config tells none."""
    # DC-AE's encoder and decoder may differ in their widths, not in their number of levels.
    own = "encoder_block_out_channels"
    key = own if own in config else "block_out_channels"
    steps = config["temperal_downsample" if _has_frames(config) else key]
    if not isinstance(steps, list | tuple) or not steps:
        raise TypeError("the config's levels are not a list")
    return int(2 ** (len(steps) - (0 if _has_frames(config) else 1)))


def overflows(vae: Any) -> bool:
    """Whether an autoencoder computes in float16 and its config says that it overflows there."""
    import torch

    return vae.dtype == torch.float16 and bool(vae.config.force_upcast)


def decode(vae: Any, latents: "torch.Tensor", *, upcast: bool = False) -> "torch.Tensor":
    """The images (n, 3, height, width) of latents (n, channels, rows, columns).

    They are float32 and nominally in [-1, 1]. `upcast` makes a float16 autoencoder compute in
    float32, for those that overflow.
    """
    import torch

    with _precision(vae, upcast=upcast):
        latents = _denormalised(vae.config, latents.float() if upcast else latents.to(vae.dtype))
        # Parts of equal size, because the last bits of pixels depend on it.
        pixels = latents.shape[2] * latents.shape[3] * downsampling(vae.config) ** 2
        fit = max(1, _PIXELS // pixels)
        size = next(
            size for size in range(len(latents), 0, -1) if size <= fit and len(latents) % size == 0
        )
        return torch.cat([_decoded(vae, part).float() for part in latents.split(size)])


def encode(
    vae: Any, pixels: "torch.Tensor", *, upcast: bool = False
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Mean and standard deviation, both float32, of the latents of `pixels`.

    `pixels` is (n, 3, height, width), in [-1, 1]. An autoencoder that is not variational has a
    deviation of 0.
    """
    import torch

    with _precision(vae, upcast=upcast):
        size = max(1, _PIXELS // (pixels.shape[2] * pixels.shape[3]))
        found = [_encoded(vae, part) for part in pixels.to(vae.dtype).split(size)]
    mean, std = (torch.cat([part.float() for part in parts]) for parts in zip(*found, strict=True))
    config = vae.config
    factor = config.get("scaling_factor", 1.0)
    if _has_statistics(config):
        shift, scale = _statistics(config, mean)
        return (mean - shift) * factor / scale, std * factor / scale
    return (
        mean if config.get("shift_factor") is None else mean - config.shift_factor
    ) * factor, std * factor


def _has_frames(config: Mapping[str, Any]) -> bool:
    """Whether it is an autoencoder of videos, to which an image is one frame."""
    return "temperal_downsample" in config


def _decoded(vae: Any, latents: "torch.Tensor") -> "torch.Tensor":
    if _has_frames(vae.config):
        frames: torch.Tensor = vae.decode(latents[:, :, None]).sample
        return frames[:, :, 0]
    image: torch.Tensor = vae.decode(latents).sample
    return image


def _encoded(vae: Any, pixels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Mean and deviation."""
    if _has_frames(vae.config):
        found = vae.encode(pixels[:, :, None]).latent_dist
        return found.mean[:, :, 0], found.std[:, :, 0]
    encoded = vae.encode(pixels)
    if hasattr(encoded, "latent_dist"):
        return encoded.latent_dist.mean, encoded.latent_dist.std
    return encoded.latent, encoded.latent.new_zeros(encoded.latent.shape)


def _denormalised(config: Any, latents: "torch.Tensor") -> "torch.Tensor":
    if _has_statistics(config):
        mean, std = _statistics(config, latents)
        moved: torch.Tensor = latents * std / config.get("scaling_factor", 1.0) + mean
        return moved
    scaled: torch.Tensor = latents / config.get("scaling_factor", 1.0)
    return scaled if config.get("shift_factor") is None else scaled + config.shift_factor


def _has_statistics(config: Any) -> bool:
    return config.get("latents_mean") is not None and config.get("latents_std") is not None


def _statistics(config: Any, like: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """A config's mean and standard deviation of each channel, to broadcast against latents."""
    mean, std = (
        like.new_tensor(list(values)).view(1, -1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    return mean, std


@contextmanager
def _precision(vae: Any, *, upcast: bool) -> Iterator[None]:
    """The autoencoder in float32 for a while; converting it back restores every weight exactly."""
    import torch

    if not upcast:
        yield
        return
    dtype = vae.dtype
    # Tensors that are cast in inference mode cannot be used outside of it.
    with torch.inference_mode(mode=False):
        vae.to(torch.float32)
    try:
        yield
    finally:
        with torch.inference_mode(mode=False):
            vae.to(dtype)
