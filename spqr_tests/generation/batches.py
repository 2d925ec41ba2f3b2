"""Batches: in which order a fine-tune sees its examples."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Batches:
    """Shuffled batches of row numbers, epoch after epoch, without end."""

    def __init__(self, count: int, size: int, generator: "torch.Generator") -> None:
        import torch

        self._count = count
        self._size = size
        self._generator = generator
        self.order = torch.empty(0, dtype=torch.int64)
        """The rows of the epoch."""
        self.next = 0
        """Where the next batch begins in it."""

    def draw(self) -> "torch.Tensor":
        """The next batch; the last one of an epoch may be short."""
        import torch

        if self.next >= len(self.order):
            self.order = torch.randperm(self._count, generator=self._generator)
            self.next = 0
        self.next += self._size
        return self.order[self.next - self._size : self.next]

    def step(self, batches: int) -> "list[torch.Tensor]":
        """The batches of one step: so many, or fewer at the end of an epoch."""
        drawn = [self.draw()]
        while len(drawn) < batches and self.next < len(self.order):
            drawn.append(self.draw())
        return drawn
