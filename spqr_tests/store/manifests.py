"""Manifests: which entries the runs of a model and a protocol used."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from spqr_tests.errors import EvidenceError
from spqr_tests.store import digest
from spqr_tests.store.store import Store

KIND = "runs"
Name = tuple[str, str, str]
"""Kind, key and suffix of an entry."""


@dataclass(frozen=True)
class Manifest:
    """What the runs of one model and protocol used."""

    model: str
    """As it was named last."""
    fingerprint: str
    protocol: str
    """Name and hash."""
    last: str
    """The day of the last run, in ISO 8601 and UTC."""
    entries: frozenset[Name]

    @property
    def key(self) -> str:
        """The store's key of the manifest."""
        return digest.of_json([self.fingerprint, self.protocol])


def note(store: Store, model: str, fingerprint: str, protocol: str) -> None:
    """Note which entries this process used; nothing where the store cannot be written.

    All of a run's processes do so, and the runs after it.
    """
    today = datetime.now(UTC).date().isoformat()
    used = frozenset(one for one in store.used if one[0] != KIND)
    new = Manifest(model, fingerprint, protocol, today, used)
    if not used:
        return
    try:
        with store.lock(new.key):
            known = read(store, new.key)
            if known is not None and known.last == today and used <= known.entries:
                return
            entries = used if known is None else used | known.entries
            value = {
                "model": model,
                "fingerprint": fingerprint,
                "protocol": protocol,
                "last": today,
                "entries": sorted(list(one) for one in entries),
            }
            store.put_record(KIND, new.key, value)
    except EvidenceError:
        return  # of a store that is only read


def read(store: Store, key: str) -> Manifest | None:
    """The manifest of this key; None where there is none that can be read."""
    value = store.peek(KIND, key)
    try:
        return value and Manifest(
            model=str(value["model"]),
            fingerprint=str(value["fingerprint"]),
            protocol=str(value["protocol"]),
            last=str(value["last"]),
            entries=frozenset((kind, key, suffix) for kind, key, suffix in value["entries"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def everything(store: Store) -> Iterator[Manifest]:
    """All manifests of a store, sorted by their keys."""
    for path in sorted((store.entries / KIND).glob("*/*.json")):
        if found := read(store, path.stem):
            yield found
