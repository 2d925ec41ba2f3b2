"""What a fine-tune destroyed: kept, so that nothing is made of it again, here or in a shard."""

from collections.abc import Callable
from typing import TypeVar

from spqr_tests.errors import BrokenModelError
from spqr_tests.store.store import Store

KIND = "destroyed"

T = TypeVar("T")


def once(store: Store, key: str, make: Callable[[], T]) -> T:
    """What `make` gives of a fine-tune, unless the store knows that nothing can be had.

    `BrokenModelError` then. It is not for the checkpoint's own: that is broken breaks the run.
    """
    said = store.record(KIND, key)
    if said is not None:
        raise BrokenModelError(str(said))
    try:
        return make()
    except BrokenModelError as error:
        store.put_record(KIND, key, str(error))
        raise


def known(store: Store, key: str) -> bool:
    """Whether the store has such a record, which is not read."""
    return store.path(KIND, key, ".json").is_file()
