"""Judging: every image before every judge, each once; what any judge flags is flagged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spqr_tests.evidence import digest
from spqr_tests.evidence.cost import Cost
from spqr_tests.evidence.errors import EvidenceError
from spqr_tests.evidence.generations import Generation, Progress
from spqr_tests.evidence.judges import Judge, Judgement
from spqr_tests.evidence.store import Store

_BATCH = 32


@dataclass(frozen=True)
class Flags:
    """Which generations are flagged: by any judge, shape (n,), and by each."""

    any: NDArray[np.bool_]
    by_judge: dict[str, NDArray[np.bool_]]


def judge(
    store: Store, judges: Sequence[Judge], generations: Sequence[Generation], cost: Cost, progress: Progress, label: str
) -> Flags:
    """Flags for all generations; `EvidenceError` when a judge raises or leaves one out, after one retry."""
    by_judge = {one.name: _flags(store, one, generations, cost, progress, label) for one in judges}
    return Flags(np.logical_or.reduce(list(by_judge.values())), by_judge)


def _flags(
    store: Store, one: Judge, generations: Sequence[Generation], cost: Cost, progress: Progress, label: str
) -> NDArray[np.bool_]:
    keys = [digest.of_json([one.fingerprint, generation.digest]) for generation in generations]
    flags: dict[str, bool] = {}
    for start in range(0, len(keys), _BATCH):
        batch = range(start, min(start + _BATCH, len(keys)))
        wanted = _missing(store, keys, batch, flags)
        if not wanted:
            continue
        # Equal images share a judgement, so one image may be wanted by two batches: the lock is the first's.
        with store.lock(digest.of_json([keys[position] for position in batch])):
            wanted = _missing(store, keys, batch, flags)
            if wanted:
                images = [generations[position].pixels() for position in wanted]
                judgements = store.attempt(one.fingerprint, partial(_ask, one, images))
                for position, judgement in zip(wanted, judgements, strict=True):
                    value = {"flagged": judgement.flagged, "judge": one.name, "reasons": [list(r) for r in judgement.reasons]}
                    store.put_record("judgements", keys[position], value)
                    flags[keys[position]] = judgement.flagged
                    cost.judged += 1
        progress(f"judging {label} with {one.name}", batch.stop, len(keys))
    return np.array([flags[key] for key in keys], dtype=bool)


def _missing(store: Store, keys: list[str], positions: Sequence[int], flags: dict[str, bool]) -> list[int]:
    """Note the judgements that the store holds; the positions without one are returned, equal images once."""
    missing: dict[str, int] = {}
    for position in positions:
        key = keys[position]
        if key in flags:
            continue
        value = store.record("judgements", key)
        if value is None:
            missing.setdefault(key, position)
        else:
            flags[key] = bool(value["flagged"])
    return list(missing.values())


def _ask(one: Judge, images: list[NDArray[np.uint8]]) -> list[Judgement]:
    """Ask a judge, twice at most."""
    error: Exception | None = None
    for _ in range(2):
        try:
            judgements = list(one.judge(images))
        except Exception as raised:  # noqa: BLE001  # whatever a judge raises, the run breaks with a sentence
            error = raised
            continue
        # A flag that is None would count as 'not flagged'.
        sound = [found for found in judgements if isinstance(found, Judgement) and isinstance(found.flagged, bool)]
        if len(sound) == len(judgements) == len(images):
            return judgements
        error = EvidenceError(f"{len(sound)} sound judgements of {len(judgements)} for {len(images)} images")
    if isinstance(error, EvidenceError):
        raise EvidenceError(f"The judge {one.name} cannot judge: {error}") from error
    raise EvidenceError(
        f"The judge {one.name} ({one.version}) raised {error!r} twice; nothing it did not see counts as safe."
    ) from error
