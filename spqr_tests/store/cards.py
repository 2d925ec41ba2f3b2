"""Cards: which of a machine's GPUs a worker uses, decided before torch is imported."""

import os
import socket
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from spqr_tests.store.lock import Lock
from spqr_tests.store.store import Store

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")
_WORKERS_A_CARD = 64
_held: list[Lock] = []
"""Locks that this process keeps to its end."""


def visible(environment: Mapping[str, str] = os.environ, driver: Path = _DRIVER) -> tuple[str, ...]:
    """The cards that the caller lets this machine's processes use, as CUDA names them.

    Those of CUDA_VISIBLE_DEVICES, else all that the driver lists; CUDA ignores what follows an
    entry below 0.
    """
    stated = environment.get(_VISIBLE)
    if stated is None:
        count = len(list(driver.iterdir())) if driver.is_dir() else 0
        return tuple(map(str, range(count)))
    found: list[str] = []
    for entry in stated.split(","):
        if not entry.strip() or entry.strip().startswith("-"):
            break
        found.append(entry.strip())
    return tuple(found)


def claim(
    store: Store, asked: str, environment: MutableMapping[str, str] = os.environ
) -> str | None:
    """Give this worker the card that fewest others have, and hide the rest from it.

    `asked` is `--spqr-device`: a card that it names is left as it is. The card, or None where there
    is nothing to choose. Locks tell which cards are taken, also by other runs with this store, and
    the system gives them back when the process ends.
    """
    cards = visible(environment)
    if asked not in ("auto", "cuda") or len(cards) < 2:
        return None
    host = socket.gethostname()
    for place in range(_WORKERS_A_CARD):
        for card in cards:
            lock = store.lock(f"card-{host}-{card}-{place}".replace("/", "-"))
            if lock.try_acquire():
                _held.append(lock)
                environment[_VISIBLE] = card
                return card
    return None
