"""report.json: what a run measured and decided, for pipelines and for the next version's comparison."""

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from spqr_tests.reports.comparison import Comparison
from spqr_tests.run.reference import Kind
from spqr_tests.run.run import Run
from spqr_tests.verdict.decisions import DecidedBy, Outcome
from spqr_tests.verdict.thresholds import Direction

SCHEMA = "spqr-report/2"
FILE = "report.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Part):
    """The checkpoint: as it was named, what was recognised on the way to it, its family, and the digest of its content."""

    target: str
    recognised: list[str]
    backbone: str
    fingerprint: str

    @classmethod
    def of(cls, run: Run) -> "Model":
        """The model of a run."""
        one = run.checkpoint
        return cls(
            target=one.target,
            recognised=list(one.recognised),
            backbone=one.backbone.name,
            fingerprint=run.fingerprint,
        )


class ProtocolName(_Part):
    """The protocol: its name and the hash over everything that affects a number."""

    name: str
    hash: str
    release: bool

    @classmethod
    def of(cls, run: Run) -> "ProtocolName":
        """The protocol of a run."""
        return cls(
            name=run.protocol.settings.name,
            hash=run.protocol.hash,
            release=run.protocol.settings.release,
        )


class AdapterStatement(_Part):
    """A ready adapter: its name, what was recognised in its file, and the digest of the checkpoint with it."""

    name: str
    recognised: str
    fingerprint: str


class Scope(_Part):
    """What the options asked for: the fine-tunes, and the adapters that are given instead."""

    profiles: list[str]
    scenarios: list[str]
    adapters: list[AdapterStatement]


class Score(_Part):
    """SPQR in [0, 1] with its two-sided interval, the variant it belongs to, and the outcome of that variant's own case."""

    value: float
    low: float
    high: float
    confidence: float
    profile: str
    scenario: str
    definition: str
    outcome: Outcome


class Axis(_Part):
    """An axis in [0, 1] with its two-sided interval, the n behind it and its provenance; what is in there has its confidence."""

    value: float
    low: float
    high: float
    confidence: float
    n: int
    method: str
    context: dict[str, Any]


class Axes(_Part):
    """The axes before fine-tuning; None for one that was not measured."""

    safety: Axis | None
    adherence: Axis | None
    quality: Axis | None


class Drift(_Part):
    """Harmfulness before and after in percent, and the drift in percentage points with its two-sided interval."""

    n: int
    before: float
    after: float
    drift: float
    low: float
    high: float
    correlation: float | None
    """Of the flags before and after (phi); None where one of them never differs."""


class Group(Drift):
    """The drift of one category or language of the harmful prompts, or of what one judge alone flags."""

    by: Literal["category", "language", "judge"]
    name: str


class OutOfDistribution(Drift):
    """The drift on harmful prompts of another kind, and the retention in [0, 1] that it means; no part of the score."""

    retention: float


class RobustnessCell(_Part):
    """R in [0, 1] of one variant; drift and harmfulness in percentage points; intervals two-sided, all but SPQR's of one confidence."""

    profile: str
    scenario: str
    value: float
    low: float
    high: float
    confidence: float
    definition: str
    definitions: dict[str, float]
    drift: float
    drift_low: float
    drift_high: float
    harmfulness_before: float
    harmfulness_after: float
    newly_flagged: int
    no_longer_flagged: int
    mcnemar_p: float | None
    """None in a sequential run: a p-value is one of a fixed n."""
    mcnemar_method: str | None
    """Of the flags themselves, or where prompts have several images of their net changes."""
    correlation: float | None
    """Of the flags before and after (phi); None where one of them never differs."""
    n: int
    planned: int
    language: str | None
    domain: str | None
    groups: list[Group]
    ood: OutOfDistribution | None
    spqr: float | None
    spqr_low: float | None
    spqr_high: float | None
    spqr_confidence: float | None


class Category(_Part):
    """Harmfulness of one category in percentage points, with its two-sided interval."""

    name: str
    harmfulness: float
    low: float
    high: float
    confidence: float
    n: int


class Spent(_Part):
    """What the run spent; evidence that the store held costs nothing. Judgements count once per judge."""

    generated: int
    judged: int
    finetuned: int
    seconds: float


class JudgeStatement(_Part):
    """A judge, so that its rates can be reproduced."""

    name: str
    version: str
    fingerprint: str
    settings: dict[str, Any]


class AdjustedInterval(_Part):
    """The wider interval by which one of a family of cases may fail, and the method that sets its confidence."""

    low: float
    high: float
    confidence: float
    family: int
    method: str


class Case(_Part):
    """A decision: the case's name, what was measured and against which bound, in its unit, and the outcome."""

    name: str
    measured: str
    unit: str
    value: float
    low: float
    high: float
    confidence: float
    adjusted: AdjustedInterval | None = Field(
        validation_alias=AliasChoices("adjusted", "corrected")
    )
    """Called `corrected` in spqr-report/1."""
    n: int
    planned: int
    """The protocol's n; above `n` where the case was decided sooner."""
    direction: Direction
    bound: float
    outcome: Outcome
    decided_by: DecidedBy
    sentence: str


class Report(BaseModel):
    """The whole report."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(alias="schema")
    suite: str
    model: Model
    protocol: ProtocolName
    scope: Scope
    limit: int | None
    sequential: bool
    """Whether the generation for a case ended once it was decided."""
    complete: bool
    missing: list[str]
    """Measurements that a complete run would hold and this one does not."""
    problems: dict[str, str]
    """Tests that broke, with the reason."""
    inconclusive: Literal["fail", "point"]
    """What became of cases that their intervals leave undecided."""
    decision: Outcome
    decision_sentence: str
    exit_code: int
    score: Score | None
    axes: Axes
    robustness: list[RobustnessCell]
    categories: list[Category]
    cases: list[Case]
    judges: list[JudgeStatement]
    comparison: dict[Kind, Comparison] = Field(default_factory=dict)
    """With each reference that the run had; none in reports of before there were any."""
    cost: Spent
