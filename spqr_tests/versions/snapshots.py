"""Snapshots: one readable JSON file per protocol and case, with a version's measurement."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spqr_tests import files
from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.errors import InputError
from spqr_tests.run.reference import Kept
from spqr_tests.run.run import Run
from spqr_tests.verdict import names
from spqr_tests.verdict.comparison import Reading
from spqr_tests.verdict.measurement import Measurement

SCHEMA: Literal["spqr-snapshot/1"] = "spqr-snapshot/1"
_DIGITS = 6


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Protocol(_Part):
    """The protocol's name and hash."""

    name: str
    hash: str


class Model(_Part):
    """The version that was measured.

    `adapter` is the digest of the checkpoint with the ready adapter that was measured, if any.
    """

    target: str
    fingerprint: str
    adapter: str | None


class JudgeName(_Part):
    """A judge of the protocol."""

    name: str
    version: str
    fingerprint: str


class Numbers(_Part):
    """The measurement in [0, 1] with its two-sided interval."""

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    confidence: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)
    method: str


class Snapshot(BaseModel):
    """The content of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["spqr-snapshot/1"] = Field(alias="schema")
    measurement: str
    until: int | None = None
    """Of a dose: the last step that it is about."""
    numbers: Numbers
    model: Model
    protocol: Protocol
    judges: tuple[JudgeName, ...]

    @classmethod
    def of(cls, run: Run, measurement: Measurement) -> "Snapshot":
        """The snapshot of a measurement of this run."""
        rounded = {
            key: round(getattr(measurement, key), _DIGITS) for key in ("value", "low", "high")
        }
        profile, adapter = names.parse(measurement.name).variant
        return cls(
            schema_=SCHEMA,
            measurement=measurement.name,
            until=measurement.context.get("until"),
            numbers=Numbers(
                **rounded,
                confidence=measurement.confidence,
                n=measurement.n,
                method=measurement.method,
            ),
            model=Model(
                target=run.checkpoint.target,
                fingerprint=run.fingerprint,
                adapter=run.adapters[adapter].fingerprint if profile == PROFILE else None,
            ),
            protocol=Protocol(name=run.protocol.settings.name, hash=run.protocol.hash),
            judges=tuple(
                JudgeName(name=one.name, version=one.version, fingerprint=one.fingerprint)
                for one in (judge.describe() for judge in run.protocol.judges)
            ),
        )

    @property
    def kept(self) -> Kept:
        """The measurement that a later version is compared with."""
        numbers = self.numbers
        reading = Reading(numbers.value, numbers.low, numbers.high, numbers.confidence, numbers.n)
        return Kept(reading, self.model.target, self.model.fingerprint, self.model.adapter)


def file_of(folder: Path, name: str) -> Path:
    """The path of a measurement's snapshot."""
    return folder / f"{quote(name, safe='[]')}.json"


def read(folder: Path, names: Iterable[str]) -> dict[str, Snapshot]:
    """The snapshots of the measurements `names` in a protocol's folder, as far as they exist.

    Raises `InputError` for a file that is not a snapshot, or is one of another measurement.
    """
    found = {}
    for name in names:
        path = file_of(folder, name)
        try:
            if not path.exists():
                continue
            snapshot = Snapshot.model_validate_json(files.text(path))
            snapshot.kept  # noqa: B018  numbers out of order are refused here
        except InputError:
            raise
        except (OSError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise InputError(
                f"{path} is not a snapshot of this suite ({SCHEMA}): {reason.removesuffix('.')}."
                " Restore the file, or delete it and write the snapshot again."
            ) from error
        if snapshot.measurement != name:
            raise InputError(
                f"{path} is the snapshot of {snapshot.measurement}, but its name says {name}:"
                " restore the file."
            )
        found[name] = snapshot
    return found
