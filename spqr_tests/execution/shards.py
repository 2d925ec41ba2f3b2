"""Shards: a run's items in N shares that need nothing of each other.

For machines that are started separately (SLURM's arrays, a CI's matrix), with one store or with a
store each: what a training leaves is used by the share that trains it.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

from spqr_tests import quotes
from spqr_tests.errors import InputError
from spqr_tests.execution.item import Items

_MOST = 9999


@dataclass(frozen=True)
class Shard:
    """Share number `number`, from 1, of `of`."""

    number: int
    of: int

    @classmethod
    def parse(cls, asked: str) -> "Shard":
        """From 'I/N'; `InputError` for anything else."""
        match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", asked)
        if match is not None and 1 <= int(match[1]) <= int(match[2]):
            return cls(int(match[1]), int(match[2]))
        raise InputError(
            f"--spqr-shard {quotes.cut(asked)}: expected I/N, the I-th of N shares, such as 1/3;"
            f" I is from 1 to N, and N at most {_MOST}."
        )


def share(items: Items, shard: Shard) -> Items:
    """The items of one share, with all that they wait for.

    The same for the same items, whatever the store holds. The longest units of work are dealt out
    first, each to the share that has least.
    """
    costs: defaultdict[str, float] = defaultdict(float)
    for item in items.values():
        if item.unit:
            costs[item.unit] += item.cost
    loads = [0.0] * shard.of
    mine: set[str] = set()
    for unit in sorted(costs, key=lambda unit: (-costs[unit], unit)):
        least = loads.index(min(loads))
        loads[least] += costs[unit]
        if least == shard.number - 1:
            mine.add(unit)
    chosen: set[str] = set()
    for name in reversed(items):
        if items[name].unit in mine or name in chosen:
            chosen |= {name, *items[name].after}
    return Items(item for name, item in items.items() if name in chosen)
