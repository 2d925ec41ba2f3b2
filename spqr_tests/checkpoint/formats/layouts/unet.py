"""The latent-diffusion UNet of Stable Diffusion 1, 2 and XL."""

from collections.abc import Iterator
from itertools import chain, count

from spqr_tests.checkpoint.formats.layouts.table import Entry, Table, module

_DOWN = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}
_UP = {"UpBlock2D": False, "CrossAttnUpBlock2D": True}


class UNet(Table):
    """UNet2DConditionModel: blocks and down- and upsamplers are numbered consecutively."""

    component = "unet"
    prefixes = ("model.diffusion_model.", "")

    def entries(self) -> Iterator[Entry]:
        """The tensors, in the order from input to output."""
        self._check()
        yield from chain(
            module("time_embed.0", "time_embedding.linear_1"),
            module("time_embed.2", "time_embedding.linear_2"),
            module("out.0", "conv_norm_out"),
            module("out.2", "conv_out"),
        )
        if self.config.get("time_cond_proj_dim") is not None:
            yield from module("time_embed.cond_proj", "time_embedding.cond_proj", bias=False)
        if self.config.get("addition_embed_type") == "text_time":
            yield from module("label_emb.0.0", "add_embedding.linear_1")
            yield from module("label_emb.0.2", "add_embedding.linear_2")
        yield from chain(self._down(), self._middle(), self._up())

    def _check(self) -> None:
        for key, known in (
            ("addition_embed_type", (None, "text_time")),
            ("class_embed_type", (None,)),
            ("num_class_embeds", (None,)),
            ("encoder_hid_dim_type", (None,)),
            ("mid_block_type", ("UNetMidBlock2DCrossAttn",)),
            ("reverse_transformer_layers_per_block", (None,)),
        ):
            if self.config.get(key, known[0]) not in known:
                raise ValueError(f"{key} {self.config[key]!r}")

    def _depths(self) -> list[int]:
        depth = self.config.get("transformer_layers_per_block", 1)
        return (
            [depth] * len(self.config["block_out_channels"])
            if isinstance(depth, int)
            else list(depth)
        )

    def _down(self) -> Iterator[Entry]:
        channels = self.config["block_out_channels"]
        yield from module("input_blocks.0.0", "conv_in")
        number = count(1)
        before = channels[0]
        for i, (kind, width, depth) in enumerate(
            zip(self.config["down_block_types"], channels, self._depths(), strict=True)
        ):
            for j in range(self.config["layers_per_block"]):
                stored = f"input_blocks.{next(number)}"
                yield from _resnet(
                    f"{stored}.0", f"down_blocks.{i}.resnets.{j}", shortcut=before != width
                )
                if _DOWN[kind]:
                    yield from _attention(f"{stored}.1", f"down_blocks.{i}.attentions.{j}", depth)
                before = width
            if i < len(channels) - 1:
                yield from module(
                    f"input_blocks.{next(number)}.0.op", f"down_blocks.{i}.downsamplers.0.conv"
                )

    def _middle(self) -> Iterator[Entry]:
        yield from chain(
            _resnet("middle_block.0", "mid_block.resnets.0", shortcut=False),
            _attention("middle_block.1", "mid_block.attentions.0", self._depths()[-1]),
            _resnet("middle_block.2", "mid_block.resnets.1", shortcut=False),
        )

    def _up(self) -> Iterator[Entry]:
        channels = self.config["block_out_channels"][::-1]
        layers = self.config["layers_per_block"] + 1
        number = count()
        before = channels[0]
        for i, (kind, width, depth) in enumerate(
            zip(self.config["up_block_types"], channels, self._depths()[::-1], strict=True)
        ):
            for j in range(layers):
                stored = f"output_blocks.{next(number)}"
                skip = channels[min(i + 1, len(channels) - 1)] if j == layers - 1 else width
                yield from _resnet(
                    f"{stored}.0", f"up_blocks.{i}.resnets.{j}", shortcut=before + skip != width
                )
                if _UP[kind]:
                    yield from _attention(f"{stored}.1", f"up_blocks.{i}.attentions.{j}", depth)
                before = width
                if j == layers - 1 and i < len(channels) - 1:
                    yield from module(
                        f"{stored}.{2 if _UP[kind] else 1}.conv", f"up_blocks.{i}.upsamplers.0.conv"
                    )


def _resnet(stored: str, name: str, *, shortcut: bool) -> Iterator[Entry]:
    yield from chain(
        module(f"{stored}.in_layers.0", f"{name}.norm1"),
        module(f"{stored}.in_layers.2", f"{name}.conv1"),
        module(f"{stored}.emb_layers.1", f"{name}.time_emb_proj"),
        module(f"{stored}.out_layers.0", f"{name}.norm2"),
        module(f"{stored}.out_layers.3", f"{name}.conv2"),
    )
    if shortcut:
        yield from module(f"{stored}.skip_connection", f"{name}.conv_shortcut")


def _attention(stored: str, name: str, depth: int) -> Iterator[Entry]:
    for part in ("norm", "proj_in", "proj_out"):
        yield from module(f"{stored}.{part}", f"{name}.{part}")
    for i in range(depth):
        block = f"transformer_blocks.{i}"
        for attention in ("attn1", "attn2"):
            for part in ("to_q", "to_k", "to_v"):
                yield from module(
                    f"{stored}.{block}.{attention}.{part}",
                    f"{name}.{block}.{attention}.{part}",
                    bias=False,
                )
            yield from module(
                f"{stored}.{block}.{attention}.to_out.0", f"{name}.{block}.{attention}.to_out.0"
            )
        for part in ("norm1", "norm2", "norm3", "ff.net.0.proj", "ff.net.2"):
            yield from module(f"{stored}.{block}.{part}", f"{name}.{block}.{part}")
