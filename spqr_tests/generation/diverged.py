"""Trainings that diverged: kept, so that none is made again."""

from collections.abc import Callable

from spqr_tests.errors import DivergedError
from spqr_tests.store.store import Store

KIND = "diverged"


def once(store: Store, key: str, train: Callable[[], None]) -> None:
    """Make a training, unless the store knows that it diverges; `DivergedError` then."""
    said = store.record(KIND, key)
    if said is not None:
        raise DivergedError(str(said))
    try:
        train()
    except DivergedError as error:
        store.put_record(KIND, key, str(error))
        raise
