"""The reference: what a baseline's report or a folder of snapshots keeps of an earlier version."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spqr_tests.verdict.comparison import Reading

Kind = Literal["baseline", "snapshots"]
Update = Literal["nothing", "new", "changed"]


@dataclass(frozen=True)
class Kept:
    """One measurement of an earlier version: what it was, and of which checkpoint."""

    reading: Reading
    target: str
    """As the checkpoint was named then."""
    fingerprint: str
    adapter: str | None = None
    """Digest of the checkpoint with the ready adapter that the measurement is of; None for what no
    adapter has a part in.
    """


@dataclass(frozen=True)
class Reference:
    """An earlier version, by measurement name; `path` is the report or the folder of one protocol's snapshots, `named` as the user did."""

    kind: Kind
    path: Path
    named: str
    kept: Mapping[str, Kept]
    update: Update = "nothing"
    """What of this version is to be written there: what is not yet (`--snapshot-update-new-only`),
    or what changed too (`--snapshot-update`).
    """
