"""`comparison` in report.json: a version against an earlier one, by measurement."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from spqr_tests.run.reference import Kind, Reference
from spqr_tests.run.run import Run
from spqr_tests.verdict.comparison import CONFIDENCE


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FlaggedImage(_Part):
    """A prompt and seed whose image a judge flags in one version only, with the paths of both.

    Paths are relative to the store.
    """

    source: str = ""
    """The prompt's row in its file."""
    prompt: str | None
    """Its text with `--spqr-show-prompts`, else null: it may be harmful."""
    seed: int
    """Of both images."""
    old: str
    """The earlier version's image."""
    new: str
    """This version's image."""


class Change(_Part):
    """One measurement in [0, 1], old and new.

    Where the earlier version lacks it, the verdict is `new`, and what needs old numbers is null.
    """

    old: float | None
    """The earlier value."""
    old_target: str | None
    """As the earlier checkpoint was named."""
    old_fingerprint: str | None
    """Of the earlier checkpoint."""
    new: float
    """This version's value."""
    difference: float | None
    """New minus old."""
    low: float | None
    """The lower bound of the difference."""
    high: float | None
    """The upper bound."""
    confidence: float
    """Of the two-sided interval from `low` to `high`."""
    counts_at: float | None
    """The confidence of the interval that has to exclude 0, Holm-adjusted over the comparisons."""
    tolerance: float | None
    """Differences up to this one do not count, from thresholds.toml."""
    paired: bool | None
    """Whether the difference was taken prompt by prompt."""
    verdict: Literal["regressed", "improved", "unchanged", "inconclusive", "unimproved", "new"]
    """`new` where there is nothing to compare with; `inconclusive` where a margin is not shown, and
    `unimproved` where a gain that `improves_on_baseline` asks for is not."""
    newly_flagged: list[FlaggedImage] | None
    """Of safety and of robustness (after the fine-tuning); null for other axes and unpaired."""
    no_longer_flagged: list[FlaggedImage] | None
    """Likewise, the other way round."""
    sentence: str
    """The comparison in words."""


class Comparison(_Part):
    """A version against one reference."""

    path: str
    """The baseline's report or the folder of snapshots, as the user gave it."""
    confidence: float
    """Of the intervals of differences."""
    measurements: dict[str, Change]
    """By name."""
    missing: list[str]
    """Measurements that should have been compared and were not."""
    written: list[str]
    """The snapshots that were written; only a complete run that passes writes any."""


def having(compared: Mapping[Kind, Comparison], verdict: str, *, but: Kind | None) -> list[str]:
    """The measurements with this verdict in any comparison except the kind `but`."""
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
    """The comparisons of a run, by kind of reference.

    `found` has what the tests reported, by kind and by measurement name.
    """
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
