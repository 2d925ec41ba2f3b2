"""The kinds of adapters that multiply a weight: rotations (OFT, BOFT) and scalings ((IA)3)."""

from collections.abc import Mapping
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.lora.kinds import Constant, Held, Kind

if TYPE_CHECKING:
    import torch


class _Blocks(Kind):
    """Rotations of LyCORIS and kohya, whose blocks act on the rows of W."""

    needed = (("oft_blocks",),)
    optional = ("rescale",)
    rotates = constrained = True

    def idle(self, held: Held, constant: Constant) -> bool:
        rescaled = "rescale" in held and constant("rescale") != 1
        return constant("oft_blocks") is not None and not rescaled

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        lengths = prod(held["rescale"].shape) if "rescale" in held else weight[0]
        return self.shape(held)[0] == weight[0] == lengths

    @staticmethod
    def rotations(blocks: "torch.Tensor", bound: float) -> "torch.Tensor":
        """Orthogonal blocks from any, by Cayley's transform: (I + Q)(I - Q)^-1.

        Q is the block minus its transpose. `bound` limits the norm of all Q together; 0: no limit.
        """
        import torch

        skew = blocks - blocks.transpose(-1, -2)
        norm = skew.norm() + 1e-8
        if bound > 0 and norm > bound:
            skew = skew * bound / norm
        identity = torch.eye(blocks.shape[-1])
        inverse: torch.Tensor = torch.linalg.inv(identity - skew)
        return (identity + skew) @ inverse


class _DiagonalOFT(_Blocks):
    """R^T W with blocks R on the diagonal (arXiv 2306.07280)."""

    name, update = "an OFT adapter", "an OFT rotation"

    def shape(self, held: Held) -> tuple[int, ...]:
        blocks = held["oft_blocks"].shape
        return (blocks[0] * blocks[1], 0)

    def problem(self, held: Held) -> str:
        return _square(held["oft_blocks"].shape, 3)

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        import torch

        blocks = tensors["oft_blocks"]
        count, size, _ = blocks.shape
        turned = self.rotations(blocks, settings["constraint"] * count * size) - torch.eye(size)
        rows = weight.reshape(count, size, -1)
        added = scale * torch.einsum("k n m, k n p -> k m p", turned, rows).reshape(weight.shape)
        if "rescale" in tensors:
            factor = tensors["rescale"].reshape(-1, *[1] * (weight.ndim - 1))
            added = factor * added + (factor - 1) * weight
        return added


class _Butterfly(_Blocks):
    """R^T W with R a product of sparse butterfly factors (arXiv 2311.06243)."""

    name, update = "a BOFT adapter", "a BOFT rotation"

    def shape(self, held: Held) -> tuple[int, ...]:
        blocks = held["oft_blocks"].shape
        return (blocks[1] * blocks[2], 0)

    def problem(self, held: Held) -> str:
        shape = held["oft_blocks"].shape
        # Stage i mixes rows that are 2^i half blocks apart.
        if len(shape) == 4 and (shape[2] % 2 or 2 ** (shape[0] - 1) > shape[1]):
            return f"has blocks of the shape {list(shape)}, which make no butterfly"
        return _square(shape, 4)

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        import torch

        blocks = tensors["oft_blocks"]
        stages, count, size, _ = blocks.shape
        turned = self.rotations(blocks, settings["constraint"] * count * size)
        # The strength draws each stage towards doing nothing, not the result.
        turned = scale * turned + (1 - scale) * torch.eye(size)
        rows = weight.reshape(count * size, -1)
        for stage in range(stages):
            apart = 2**stage * (size // 2)
            mixed = rows.unflatten(0, (-1, 2, apart)).transpose(1, 2).reshape(count, size, -1)
            mixed = torch.einsum("b i j, b j p -> b i p", turned[stage], mixed).flatten(0, 1)
            rows = mixed.unflatten(0, (-1, apart, 2)).transpose(1, 2).reshape(rows.shape)
        if "rescale" in tensors:
            rows = rows * tensors["rescale"].reshape(-1, 1)
        return rows.reshape(weight.shape) - weight


def _square(shape: tuple[int, ...], axes: int) -> str:
    if len(shape) == axes and shape[-1] == shape[-2] and shape[-1]:
        return ""
    return f"has blocks of the shape {list(shape)}, which are not square"


class _PeftOFT(Kind):
    """W R^T, by peft's own layer; the blocks of R act on the columns of W."""

    name, update = "an OFT adapter", "an OFT rotation"
    needed = (("oft_R",),)
    rotates, strengths = True, False

    def shape(self, held: Held) -> tuple[int, ...]:
        del held
        return (0, 0)

    @staticmethod
    def _block(held: Held) -> int:
        """Rows of a block, of which the file holds what is above the diagonal."""
        return (1 + isqrt(1 + 8 * held["oft_R"].shape[1])) // 2

    def problem(self, held: Held) -> str:
        shape, size = held["oft_R"].shape, self._block(held) if len(held["oft_R"].shape) == 2 else 0
        if len(shape) == 2 and shape[1] == size * (size - 1) // 2 and size > 1:
            return ""
        return f"has blocks of the shape {list(shape)}, which are not triangles"

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        width, size = prod(weight[1:]), self._block(held)
        # One block alone may be shared by all.
        return width in (size * held["oft_R"].shape[0], width // size * size) and (
            held["oft_R"].shape[0] in (1, width // size)
        )

    def idle(self, held: Held, constant: Constant) -> bool:
        del held
        return constant("oft_R") == 0

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        import torch
        from peft import OFTConfig, inject_adapter_in_model

        del scale
        flat = weight.flatten(1)
        stored = tensors["oft_R"]
        size = (1 + isqrt(1 + 8 * stored.shape[1])) // 2
        holder = torch.nn.Sequential(torch.nn.Linear(flat.shape[1], flat.shape[0], bias=False))
        holder[0].weight = torch.nn.Parameter(flat.clone(), requires_grad=False)
        config = OFTConfig(r=0, oft_block_size=size, target_modules=["0"], **settings)
        layer: Any = inject_adapter_in_model(config, holder)[0]
        layer.oft_R["default"].weight.data = stored.clone()
        layer.merge()
        merged: torch.Tensor = layer.get_base_layer().weight.detach()
        return merged.reshape(weight.shape) - weight


class _PeftBOFT(Kind):
    """s * (W R^T) with blocks R on the diagonal, as peft merges it."""

    name, update = "a BOFT adapter", "a BOFT rotation"
    needed = (("boft_R", "boft_s"),)
    rotates, strengths = True, False

    def shape(self, held: Held) -> tuple[int, ...]:
        return (prod(held["boft_s"].shape), 0)

    def problem(self, held: Held) -> str:
        shape = held["boft_R"].shape
        if len(shape) == 4 and shape[0] != 1:
            return (
                f"is a BOFT of {shape[0]} butterfly factors, which peft computes by a CUDA"
                " extension alone; merge it with peft on a card"
            )
        return _square(shape, 4)

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        _, count, size, _ = held["boft_R"].shape
        return (prod(held["boft_s"].shape), count * size) == (weight[0], prod(weight[1:]))

    def idle(self, held: Held, constant: Constant) -> bool:
        del held
        return constant("boft_R") is not None and constant("boft_s") == 1

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        import torch

        del scale, settings
        blocks = tensors["boft_R"][0]
        skew = 0.5 * (blocks - blocks.transpose(1, 2))
        identity = torch.eye(blocks.shape[-1])
        turned = (identity - skew) @ torch.linalg.inv(identity + skew)
        columns = weight.reshape(weight.shape[0], *blocks.shape[:2])
        merged = torch.einsum("b i j, o b j -> o b i", turned, columns)
        scaled = merged.flatten(1) * tensors["boft_s"].reshape(-1, 1)
        return scaled.reshape(weight.shape) - weight


class _PeftIA3(Kind):
    """Each output, or each input of a feed-forward layer, times a number (arXiv 2205.05638)."""

    name, update = "an (IA)3 adapter", "an (IA)3 scaling"
    needed = (("ia3_l",),)
    rotates, strengths = True, False

    def shape(self, held: Held) -> tuple[int, ...]:
        shape = held["ia3_l"].shape
        return (shape[0], 0) if len(shape) == 2 and shape[1] == 1 else (0, 0)

    def problem(self, held: Held) -> str:
        shape = held["ia3_l"].shape
        if (len(shape) == 2 and 1 in shape) or (len(shape) == 4 and shape[0] == 1):
            return ""
        return f"has a vector of the shape {list(shape)}"

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        shape = held["ia3_l"].shape
        if len(weight) == 2:
            return shape in ((weight[0], 1), (1, weight[1]))
        return len(shape) == len(weight) and shape[1] in weight[:2]

    def idle(self, held: Held, constant: Constant) -> bool:
        del held
        return constant("ia3_l") == 1

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        del scale
        axis = 1 if settings["feedforward"] else 0
        shape = [1] * weight.ndim
        shape[axis] = -1
        return weight * (tensors["ia3_l"].reshape(shape) - 1)


class _LycorisIA3(Kind):
    """LyCORIS' (IA)3: the number minus 1, on inputs or outputs; biases stay as they are."""

    name, update = "an (IA)3 adapter", "an (IA)3 scaling"
    needed = (("vector", "on_input"),)
    rotates = True

    def shape(self, held: Held) -> tuple[int, ...]:
        return (prod(held["vector"].shape), 0)

    def problem(self, held: Held) -> str:
        shape = held["vector"].shape
        if prod(held["on_input"].shape) == 1 and prod(shape) == max(shape, default=0):
            return ""
        return f"has a vector of the shape {list(shape)}"

    def fits(self, held: Held, weight: tuple[int, ...]) -> bool:
        return prod(held["vector"].shape) in weight[:2]

    def idle(self, held: Held, constant: Constant) -> bool:
        del held
        return constant("vector") == 0

    def added(
        self,
        tensors: "Mapping[str, torch.Tensor]",
        weight: "torch.Tensor",
        scale: float,
        settings: Mapping[str, Any],
    ) -> "torch.Tensor":
        del settings
        axis = 1 if tensors["on_input"].item() else 0
        shape = [1] * weight.ndim
        shape[axis] = -1
        return scale * weight * tensors["vector"].reshape(shape)


OFT_BLOCKS, BOFT_BLOCKS = _DiagonalOFT(), _Butterfly()
PEFT_OFT, PEFT_BOFT, PEFT_IA3 = _PeftOFT(), _PeftBOFT(), _PeftIA3()
LYCORIS_IA3 = _LycorisIA3()
