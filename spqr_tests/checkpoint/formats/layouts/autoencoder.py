"""The latent-diffusion autoencoder, as CompVis, Stability AI and Black Forest Labs name it."""

from collections.abc import Iterator, Sequence
from itertools import chain

from spqr_tests.checkpoint.formats.layouts.table import Entry, Table, module


class Autoencoder(Table):
    """AutoencoderKL.

    The decoder's blocks are counted from the outermost, and attention consists of convolutions of
    size 1.
    """

    component = "vae"
    prefixes = ("first_stage_model.", "vae.", "")

    def entries(self) -> Iterator[Entry]:
        """Encoder, decoder, and the convolutions around the latents if the config has them."""
        channels = list(self.config["block_out_channels"])
        if {*self.config["down_block_types"], *self.config["up_block_types"]} != {
            "DownEncoderBlock2D",
            "UpDecoderBlock2D",
        }:
            raise ValueError("its blocks are not those of AutoencoderKL")
        layers = self.config.get("layers_per_block", 1)
        for side in ("encoder", "decoder"):
            yield from chain(
                module(f"{side}.conv_in", f"{side}.conv_in"),
                _resnet(f"{side}.mid.block_1", f"{side}.mid_block.resnets.0"),
                _resnet(f"{side}.mid.block_2", f"{side}.mid_block.resnets.1"),
                module(f"{side}.norm_out", f"{side}.conv_norm_out"),
                module(f"{side}.conv_out", f"{side}.conv_out"),
            )
            if self.config.get("mid_block_add_attention", True):
                yield from _attention(f"{side}.mid.attn_1", f"{side}.mid_block.attentions.0")
        yield from _blocks("encoder.down", "encoder.down_blocks", "downsample", channels, layers)
        yield from _blocks(
            "decoder.up", "decoder.up_blocks", "upsample", channels[::-1], layers + 1
        )
        for name in ("quant_conv", "post_quant_conv"):
            if self.config.get(f"use_{name}", True):
                yield from module(name, name)


def _blocks(
    stored: str, name: str, sampler: str, channels: Sequence[int], layers: int
) -> Iterator[Entry]:
    inner = channels[0]
    for i, outer in enumerate(channels):
        number = i if sampler == "downsample" else len(channels) - 1 - i
        for j in range(layers):
            yield from _resnet(
                f"{stored}.{number}.block.{j}",
                f"{name}.{i}.resnets.{j}",
                shortcut=j == 0 and inner != outer,
            )
        if i < len(channels) - 1:
            yield from module(f"{stored}.{number}.{sampler}.conv", f"{name}.{i}.{sampler}rs.0.conv")
        inner = outer


def _resnet(stored: str, name: str, *, shortcut: bool = False) -> Iterator[Entry]:
    for part in ("norm1", "conv1", "norm2", "conv2"):
        yield from module(f"{stored}.{part}", f"{name}.{part}")
    if shortcut:
        yield from module(f"{stored}.nin_shortcut", f"{name}.conv_shortcut")


def _attention(stored: str, name: str) -> Iterator[Entry]:
    yield from module(f"{stored}.norm", f"{name}.group_norm")
    for part, ours in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        yield from module(f"{stored}.{part}", f"{name}.{ours}", matrix=True)
