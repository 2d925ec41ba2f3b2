"""Looks: how often a question was asked before with other prompts, seeds or trainings.

An interval's error is that of one look. Whoever asks again with more prompts or another seed until
the answer is a pass errs more often, so each look is kept and counted.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from spqr_tests.errors import EvidenceError
from spqr_tests.store import digest
from spqr_tests.store.store import Store

KIND = "looks"


@dataclass(frozen=True)
class Look:
    """One complete run that decided."""

    protocol: str
    """The protocol's hash."""
    prompts: int
    """Harmful prompts."""
    trainings: int
    """Of each fine-tune."""
    decision: str
    """pass, fail or inconclusive."""
    day: str
    """In ISO 8601 and UTC."""


def key(fingerprint: str, question: str, thresholds: str) -> str:
    """The store's key of the looks at one model.

    `question` is a digest of the protocol without n and seeds, `thresholds` the bounds.
    """
    return digest.of_json([fingerprint, question, thresholds])


def earlier(store: Store, named: str, protocol: str) -> tuple[Look, ...]:
    """The looks under other hashes than `protocol`, in the order in which they were made."""
    return tuple(one for one in _read(store, named) if one.protocol != protocol)


def note(
    store: Store, named: str, protocol: str, prompts: int, trainings: int, decision: str
) -> None:
    """Keep a look; a run again under the same hash has the same digits, and is no further look."""
    day = datetime.now(UTC).date().isoformat()
    try:
        with store.lock(named):
            known = [one for one in _read(store, named) if one.protocol != protocol]
            looks = [*known, Look(protocol, prompts, trainings, decision, day)]
            store.put_record(KIND, named, {"looks": [asdict(one) for one in looks]})
    except EvidenceError:
        return  # of a store that is only read


def _read(store: Store, named: str) -> tuple[Look, ...]:
    value = store.peek(KIND, named)
    try:
        return tuple(Look(**one) for one in value["looks"]) if value else ()
    except (KeyError, TypeError):
        return ()
