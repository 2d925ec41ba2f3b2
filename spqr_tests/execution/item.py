"""An item: a piece of work that one process does, and that the store holds when it is done."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from spqr_tests.store.cost import Cost

Kind = Literal["check", "train", "loss", "generate", "judge", "embed"]


@dataclass(frozen=True)
class Item:
    """A piece of work; its name is unique in a run, and says to people what it is."""

    kind: Kind
    name: str
    model: str
    """Whose weights it needs: the checkpoint's or a training's label, '' for none."""
    cost: float
    """In passes of the denoiser over one image, roughly: what orders the work."""
    done: Callable[[], bool]
    """Whether the store holds all of it; nothing is written or verified."""
    make: Callable[[], object]
    """Do it, as far as the store lacks it; raises as what it calls."""
    after: tuple[str, ...] = ()
    """Names of the items that it waits for."""
    unit: str = ""
    """What has to be done by one process where processes have no store in common.

    '' for work that each of them needs.
    """
    pieces: int = 0
    """Images that it generates, steps that it trains or judgements that it makes, at most."""

    def timed(self, cost: Cost) -> "Item":
        """The same, whose time counts as that of metrics where nothing in it counts its own."""
        if self.kind not in {"loss", "embed"}:
            return self

        def make() -> object:
            with cost.during("metrics"):
                return self.make()

        return replace(self, make=make)


class Items(Mapping[str, Item]):
    """A run's items by name, each after those that it waits for."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items: dict[str, Item] = {}
        for item in items:
            if item.name in self._items:
                raise ValueError(f"two items are named {item.name}")
            if absent := [name for name in item.after if name not in self._items]:
                raise ValueError(f"{item.name} waits for {absent[0]}, which does not come first")
            self._items[item.name] = item

    def __getitem__(self, name: str) -> Item:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @cached_property
    def ranks(self) -> dict[str, float]:
        """By name: the cost of the longest chain that begins with the item."""
        ranks = {name: item.cost for name, item in self._items.items()}
        behind = dict.fromkeys(self._items, 0.0)
        for name in reversed(self._items):
            ranks[name] += behind[name]
            for earlier in self._items[name].after:
                behind[earlier] = max(behind[earlier], ranks[name])
        return ranks

    def missing(self) -> "list[Item]":
        """What the store lacks."""
        return [item for item in self._items.values() if not item.done()]
