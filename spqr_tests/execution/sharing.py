"""Sharing: any number of processes with one store do a run's items, each once.

Nobody hands out work: a process takes the lock of the item that it wants most and that nobody has.
The system gives a dead process' locks back, so that others do what it left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.execution.item import Item, Items
from spqr_tests.generation.generations import Progress
from spqr_tests.run.run import Run
from spqr_tests.store import digest
from spqr_tests.store.store import Store

_POLL = 0.05
_FIRST = ("check", "train")
"""Kinds of which all others wait."""


@dataclass
class Done:
    """What came of the items: the failed ones by name, with the reason, and what it waited."""

    failed: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    """The items that this process did."""
    waiting: float = 0.0
    """Seconds in which nothing could be done, since others had to finish something first."""


def carry_out(
    items: Items,
    store: Store,
    scope: str,
    progress: Progress,
    *,
    place: int = 0,
    of: int = 1,
) -> Done:
    """Do what is missing, until all is done or has failed, here or in another process.

    `scope` tells the run's locks from another's. This process is number `place` (from 0) `of` all
    that begin together: they begin with different models. An item that raises is noted as failed,
    and what waits for it is left out.
    """
    order = order_of(items, place, of)
    open_, finished, loaded = dict.fromkeys(items), set[str](), ""
    found = Done()
    while open_:
        acted = False
        for name in sorted(open_, key=lambda name: order(items[name], loaded)):
            item = items[name]
            if any(one in found.failed for one in item.after):
                found.failed[name] = f"it waits for {item.after[0]}, which failed"
                del open_[name]
                acted = True
                break
            if not finished.issuperset(item.after):
                continue
            lock = store.lock(digest.of_json(["item", scope, name]))
            if not lock.try_acquire():
                continue
            try:
                if not item.done():
                    item.make()
                    found.made.append(name)
                    loaded = item.model or loaded
                finished.add(name)
            # Whatever it is, the case that needs the item meets it again and says so.
            except Exception as error:  # noqa: BLE001
                found.failed[name] = why(error)
            finally:
                lock.release()
            del open_[name]
            acted = True
            progress("work shared out", len(items) - len(open_), len(items))
            break
        if not acted:
            time.sleep(_POLL)
            found.waiting += _POLL
    return found


def scope_of(run: Run) -> str:
    """What tells the locks of a run's items from those of another model or protocol."""
    return f"{run.fingerprint} {run.protocol.hash}"


def why(error: Exception) -> str:
    """Why an item failed: the sentence of an error that has one for users, else the error."""
    ours = isinstance(error, EvidenceError | InputError)
    return str(error) if ours else f"{error!r}"


def order_of(items: Items, place: int = 0, of: int = 1) -> Callable[[Item, str], tuple[float, ...]]:
    """A sort key: what everything waits for, then the model at hand, then the longest chain.

    Models are tried in an order of the process' own, so that processes share one only at the end.
    """
    models = list(dict.fromkeys(item.model for item in items.values() if item.model))
    shift = place * len(models) // max(of, 1)
    turn = {model: (number - shift) % len(models) for number, model in enumerate(models)}
    turn[""] = 0

    def key(item: Item, loaded: str) -> tuple[float, ...]:
        if item.kind in _FIRST:
            return 0, 0, -items.ranks[item.name]
        return 1, item.model not in ("", loaded), turn[item.model], -items.ranks[item.name]

    return key
