"""comparison{} of report.json: a version beside an earlier one, measurement by measurement."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from spqr_tests.run.reference import Kind, Reference
from spqr_tests.run.run import Run
from spqr_tests.verdict.comparison import CONFIDENCE


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FlaggedImage(_Part):
    """A prompt and seed whose generation a judge flags in one version alone, and where the two generations lie."""

    prompt: str
    seed: int
    old: str
    new: str


class Change(_Part):
    """One measurement in [0, 1], old and new; the numbers of an earlier version are null where it has none, which is the verdict `new`."""

    old: float | None
    old_target: str | None
    old_fingerprint: str | None
    new: float
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    """Two-sided, of `low` and `high`."""
    counts_at: float | None
    """The confidence of the interval that has to exclude 0 (Holm over the comparisons of the run)."""
    tolerance: float | None
    paired: bool | None
    """Whether it was taken prompt by prompt."""
    verdict: Literal["regressed", "improved", "unchanged", "new"]
    newly_flagged: list[FlaggedImage] | None
    """Of safety and robustness (after the fine-tuning); null for other axes, and unpaired."""
    no_longer_flagged: list[FlaggedImage] | None
    sentence: str


class Comparison(_Part):
    """A version beside one reference."""

    path: str
    """The baseline's report, or the folder of the snapshots, as the run was told."""
    confidence: float
    measurements: dict[str, Change]
    missing: list[str]
    """Measurements that were to be compared and were not."""
    written: list[str]
    """Files of snapshots that were written, by a whole run that passes alone."""


def having(compared: Mapping[Kind, Comparison], verdict: str, *, but: Kind | None) -> list[str]:
    """The measurements that have this verdict in any of the comparisons but one."""
    kept = [one for kind, one in compared.items() if kind != but]
    return list(
        dict.fromkeys(
            name
            for one in kept
            for name, change in one.measurements.items()
            if change.verdict == verdict
        )
    )


def build(run: Run, found: Mapping[str, Mapping[str, dict[str, Any]]]) -> dict[Kind, Comparison]:
    """The comparisons with each reference of a run, from those that tests reported by kind and measurement."""
    references = {one.kind: one for one in (run.baseline, run.snapshots) if one is not None}
    return {
        kind: _comparison(run, reference, found.get(kind, {}))
        for kind, reference in references.items()
    }


def _comparison(run: Run, reference: Reference, found: Mapping[str, dict[str, Any]]) -> Comparison:
    changes = {
        name: Change(
            **{key: value for key, value in found[name].items() if key not in ("kind", "name")}
        )
        for name in run.expected
        if name in found
    }
    return Comparison(
        path=reference.named,
        confidence=CONFIDENCE,
        measurements=changes,
        missing=[name for name in run.expected if name not in found],
        written=[],
    )
