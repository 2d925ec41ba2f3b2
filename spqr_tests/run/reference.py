"""The reference: an earlier version's measurements, from a report or from snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spqr_tests.verdict.comparison import Reading

Kind = Literal["baseline", "snapshots"]
Update = Literal["nothing", "new", "changed"]


@dataclass(frozen=True)
class Kept:
    """One measurement of an earlier version, and the checkpoint that it was made of."""

    reading: Reading
    target: str
    """The checkpoint as it was named then."""
    fingerprint: str
    adapter: str | None = None
    """Digest of the checkpoint with the ready adapter that was measured.

    None for a measurement without an adapter.
    """


@dataclass(frozen=True)
class Reference:
    """An earlier version that a run is compared with, or that it replaces."""

    kind: Kind
    path: Path
    """The report, or the folder with one protocol's snapshots."""
    named: str
    """The path as the user gave it."""
    kept: Mapping[str, Kept]
    """By measurement name."""
    chained: str | None = None
    """The baseline that this baseline itself was compared with; None for the first of its line."""
    update: Update = "nothing"
    """Which measurements of this run are written there.

    "new": those that are not there yet (`--snapshot-update-new-only`). "changed": also those that
    changed (`--snapshot-update`).
    """
