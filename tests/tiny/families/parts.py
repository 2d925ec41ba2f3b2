"""Components that several tiny families share."""

from benchmarks.sizes.architectures import t5_tokenizer
from tests.tiny.backbones import SIDE
from tests.tiny.backbones import _t5 as t5
from tests.tiny.families.vae import vae

__all__ = ["PUBLISHED_VAE", "SIDE", "t5", "t5_tokenizer", "vae"]

PUBLISHED_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
"""Stable Diffusion XL's, which other families took."""
