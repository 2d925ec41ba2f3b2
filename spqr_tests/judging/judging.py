"""Judging: every image before every judge, each once; what any judge flags is flagged."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.errors import EvidenceError
from spqr_tests.generation import painting
from spqr_tests.generation.generations import Progress
from spqr_tests.judging.judges import Judge, JudgeDescription, Judgement, UnjudgedError
from spqr_tests.store import digest
from spqr_tests.store.cost import Cost
from spqr_tests.store.decoded import Decoded
from spqr_tests.store.images import Picture
from spqr_tests.store.store import Store

KIND = "judgements"
REVISION = 2
"""Raised when a judgement says more than it did: 2 says the score."""
_BATCH = 32


@dataclass(frozen=True)
class Flags:
    """Which pictures are flagged: by any judge, shape (n,), and by each."""

    any: NDArray[np.bool_]
    by_judge: dict[str, NDArray[np.bool_]]
    pictures: tuple[str, ...] = ()
    """Their digests, as far as they are known."""

    def of(self, rows: Sequence[int]) -> "Flags":
        """The flags of some of the pictures, by their places."""
        chosen = np.asarray(rows, dtype=np.intp)
        return Flags(
            self.any[chosen],
            {judge: found[chosen] for judge, found in self.by_judge.items()},
            tuple(self.pictures[row] for row in rows) if self.pictures else (),
        )

    @property
    def distinct(self) -> float | None:
        """The share of pictures that differ from all before them; None where nobody knows."""
        return painting.distinct(self.pictures) if self.pictures else None


@dataclass(frozen=True)
class Judged:
    """What each judge says of each picture, in the pictures' order."""

    pictures: Sequence[Picture]
    by_judge: Mapping[str, Sequence[Judgement]]

    @property
    def flags(self) -> Flags:
        """The flags alone."""
        by_judge = {
            name: np.array([one.flagged for one in said], dtype=bool)
            for name, said in self.by_judge.items()
        }
        digests = tuple(picture.digest for picture in self.pictures)
        return Flags(np.logical_or.reduce(list(by_judge.values())), by_judge, digests)


def judge(
    store: Store,
    judges: Sequence[Judge],
    pictures: Sequence[Picture],
    cost: Cost,
    progress: Progress,
    label: str,
) -> Judged:
    """Judgements of all pictures.

    `EvidenceError` when a judge raises or leaves one out, after one retry.
    """
    by_judge = {
        one.describe().name: _judgements(store, one, pictures, cost, progress, label)
        for one in judges
    }
    return Judged(pictures, by_judge)


def known_flags(
    store: Store, judges: Sequence[Judge], pictures: Sequence[Picture]
) -> NDArray[np.bool_] | None:
    """What any judge flags, shape (n,), or None unless the store holds every judgement.

    Nothing is judged or written.
    """
    flags = np.zeros(len(pictures), dtype=bool)
    for described in (judge.describe() for judge in judges):
        for position, picture in enumerate(pictures):
            if (value := store.peek(KIND, key(described, picture.digest))) is None:
                return None
            flags[position] |= bool(value["flagged"])
    return flags


def key(described: JudgeDescription, picture: str) -> str:
    """The store's key of what a judge says of the picture with this digest."""
    return digest.of_json([REVISION, described.fingerprint, dict(described.computed_with), picture])


def _read(value: Mapping[str, Any]) -> Judgement:
    reasons = tuple((str(label), float(score)) for label, score in value["reasons"])
    score = value.get("score")
    return Judgement(bool(value["flagged"]), reasons, None if score is None else float(score))


def _judgements(
    store: Store,
    one: Judge,
    pictures: Sequence[Picture],
    cost: Cost,
    progress: Progress,
    label: str,
) -> list[Judgement]:
    described = one.describe()
    keys = [key(described, picture.digest) for picture in pictures]
    known: dict[str, Judgement] = {}
    for start in range(0, len(keys), _BATCH):
        batch = range(start, min(start + _BATCH, len(keys)))
        wanted = _missing(store, keys, batch, known)
        if not wanted:
            continue
        # Equal images share a judgement, so one image may be wanted by two batches: the lock is the
        # first's.
        with store.lock(digest.of_json([keys[position] for position in batch])):
            wanted = _missing(store, keys, batch, known)
            if wanted:
                store.require_more(f"judgements of {label or 'benign pictures'}")
                shown = [pictures[position] for position in wanted]
                with cost.during("judging"):
                    judgements = store.attempt(
                        described.fingerprint, partial(_ask, one, described, shown)
                    )
                for position, judgement in zip(wanted, judgements, strict=True):
                    value = {
                        "flagged": judgement.flagged,
                        "judge": described.name,
                        "reasons": [list(r) for r in judgement.reasons],
                        "score": judgement.score,
                    }
                    of = {
                        "fingerprint": described.fingerprint,
                        "picture": pictures[position].digest,
                        "computed_with": dict(described.computed_with),
                        "revision": REVISION,
                    }
                    store.put_record(KIND, keys[position], value, of=of)
                    known[keys[position]] = _read(value)
                    cost.judged += 1
        progress(f"judging {label} with {described.name}", batch.stop, len(keys))
    return [known[one] for one in keys]


def _missing(
    store: Store, keys: list[str], positions: Sequence[int], known: dict[str, Judgement]
) -> list[int]:
    """Note the judgements that the store holds, and return the positions without one.

    Equal images are returned once.
    """
    missing: dict[str, int] = {}
    for position in positions:
        one = keys[position]
        if one in known:
            continue
        value = store.record(KIND, one)
        if value is None:
            missing.setdefault(one, position)
        else:
            known[one] = _read(value)
    return list(missing.values())


def _is_sound(found: object) -> bool:
    """Whether it is a judgement with a flag and, where there are reasons, labels and scores."""
    return (
        isinstance(found, Judgement)
        and isinstance(found.flagged, bool)
        and (found.score is None or _is_finite(found.score))
        and all(
            isinstance(label, str) and _is_finite(score) for label, score in _pairs(found.reasons)
        )
    )


def _is_finite(score: object) -> bool:
    return isinstance(score, int | float) and math.isfinite(score)


def _pairs(reasons: Iterable[object]) -> Iterator[tuple[object, object]]:
    for one in reasons:
        label, score = one if isinstance(one, tuple | list) and len(one) == 2 else (None, None)
        yield label, score


def _ask(one: Judge, described: JudgeDescription, shown: Sequence[Picture]) -> list[Judgement]:
    """Ask a judge, twice at most."""
    # Decoded when they are looked at: a batch of large ones would take gigabytes.
    images = Decoded([picture.pixels for picture in shown])
    error: Exception | None = None
    for _ in range(2):
        try:
            judgements = list(one.judge(images))
        except UnjudgedError as raised:
            # It has asked again by itself.
            raise EvidenceError(
                f"The judge {described.name} cannot judge {shown[raised.position].path}:"
                f" {raised.reason}"
            ) from raised
        # Whatever a judge raises, the run breaks with a sentence.
        except Exception as raised:  # noqa: BLE001
            error = raised
            continue
        # A flag that is None would count as 'not flagged'.
        sound = [found for found in judgements if _is_sound(found)]
        if len(sound) == len(judgements) == len(images):
            return judgements
        error = EvidenceError(
            f"{len(sound)} sound judgements of {len(judgements)} for {len(images)} images"
        )
    if isinstance(error, EvidenceError):
        raise EvidenceError(f"The judge {described.name} cannot judge: {error}") from error
    raise EvidenceError(
        f"The judge {described.name} ({described.version}) raised {error!r} twice; nothing it did"
        " not see counts as safe."
    ) from error
