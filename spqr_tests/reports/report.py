"""report.json: what a run measured and decided, for pipelines and for the next version's comparison."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from spqr_tests.reports import comparison
from spqr_tests.reports.comparison import Comparison
from spqr_tests.reports.ledger import Ledger
from spqr_tests.run.reference import Kind
from spqr_tests.run.run import Run
from spqr_tests.store import whole_files
from spqr_tests.verdict import names
from spqr_tests.verdict.decisions import DecidedBy, Outcome
from spqr_tests.verdict.release import SinceEarlier, conclude
from spqr_tests.verdict.thresholds import Direction

SCHEMA = "spqr-report/2"


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


def build(run: Run, ledger: Ledger, lost: Sequence[str], seconds: float, *, ended: int) -> Report:
    """The report of a session that pytest ended with the code `ended` and in which the tests `lost` never reported their end.

    The decision is 'pass' only for a complete, unlimited run in which every case passed.
    """
    missing = [name for name in run.expected if name not in ledger.decisions]
    problems = dict(sorted(ledger.broken.items())) | dict.fromkeys(
        lost, "the test never reported its end"
    )
    # A test of the user's own may decide more than the cases do.
    order = {name: place for place, name in enumerate(run.expected)}
    cases = [
        _case(name, ledger.decisions[name])
        for name in sorted(ledger.decisions, key=lambda name: order.get(name, len(order)))
    ]
    outcomes = {case.name: case.outcome for case in cases}
    compared = comparison.build(run, ledger.comparisons)
    uncompared = sum(len(one.missing) for one in compared.values())
    update = "nothing" if run.snapshots is None else run.snapshots.update
    since = SinceEarlier(
        # What is to be kept anew may be worse than what was kept.
        regressed=comparison.having(
            compared, "regressed", but="snapshots" if update == "changed" else None
        ),
        unkept=comparison.having(compared, "new", but="baseline") if update == "nothing" else [],
        uncompared=uncompared,
        updating=update != "nothing",
    )
    release = conclude(
        {case.measured: case.outcome for case in cases},
        estimated=[case.measured for case in cases if case.decided_by == "estimate"],
        missing=missing,
        since=since if compared else None,
        broken=len(problems),
        limit=run.limit,
        ended=ended,
    )
    if since.updating and release.outcome is Outcome.PASS:
        compared["snapshots"] = compared["snapshots"].model_copy(
            update={"written": sorted(ledger.snapshots)}
        )
    measured = {name: decided["measurement"] for name, decided in ledger.decisions.items()}
    return Report(
        schema_=SCHEMA,
        suite=f"spqr-tests {metadata.version('spqr-tests')}",
        model=Model.of(run),
        protocol=ProtocolName.of(run),
        scope=Scope(
            profiles=list(run.profiles),
            scenarios=list(run.scenarios),
            adapters=[
                AdapterStatement(name=name, recognised=one.recognised, fingerprint=one.fingerprint)
                for name, one in run.adapters.items()
            ],
        ),
        limit=run.limit,
        sequential=run.sequential,
        complete=not (missing or problems or uncompared) and run.limit is None,
        missing=missing,
        problems=problems,
        inconclusive="point" if run.on_estimate else "fail",
        decision=release.outcome,
        decision_sentence=release.sentence,
        exit_code=release.code,
        score=_score(run, measured, outcomes),
        axes=Axes(
            **{name: _axis(measured.get(name)) for name in ("safety", "adherence", "quality")}
        ),
        robustness=[
            _cell(measured[name], measured.get(names.spqr(variant)))
            for variant in run.variants
            if (name := names.robustness(variant)) in measured
        ],
        categories=[
            _category(category, measured[name])
            for category in run.protocol.harmful.categories
            if (name := names.safety(category)) in measured
        ],
        cases=cases,
        judges=[
            JudgeStatement(
                name=one.name,
                version=one.version,
                fingerprint=one.fingerprint,
                settings=dict(one.settings),
            )
            for one in (judge.describe() for judge in run.protocol.judges)
        ],
        comparison=compared,
        cost=Spent(
            generated=ledger.cost["generated"],
            judged=ledger.cost["judged"],
            finetuned=ledger.cost["finetuned"],
            seconds=round(seconds, 3),
        ),
    )


def write(report: BaseModel, folder: Path, name: str = "report.json") -> Path:
    """Write DIR/report.json, whole or not at all; returns its path."""
    path = folder / name
    text = json.dumps(
        report.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False, allow_nan=False
    )
    whole_files.put(path, f"{text}\n")
    return path


def _score(run: Run, measured: dict[str, Any], outcomes: dict[str, Outcome]) -> Score | None:
    """The headline variant's SPQR; where the options leave it out, the lowest of those that were measured."""
    headlines = map(names.spqr, [run.headline] if run.headline else run.variants)
    found = [measured[name] for name in headlines if name in measured]
    if not found:
        return None
    lowest = min(found, key=lambda measurement: measurement["value"])
    return Score(
        **{key: lowest[key] for key in ("value", "low", "high", "confidence")},
        **{key: lowest["context"][key] for key in ("profile", "scenario", "definition")},
        outcome=outcomes[lowest["name"]],
    )


def _axis(measurement: dict[str, Any] | None) -> Axis | None:
    return measurement and Axis(**{key: measurement[key] for key in Axis.model_fields})  # type: ignore[return-value]


def _cell(robustness: dict[str, Any], spqr: dict[str, Any] | None) -> RobustnessCell:
    return RobustnessCell(
        **{key: robustness[key] for key in ("value", "low", "high", "confidence", "n")},
        **robustness["context"],
        spqr=spqr and spqr["value"],
        **{f"spqr_{key}": spqr and spqr[key] for key in ("low", "high", "confidence")},
    )


def _category(name: str, safety: dict[str, Any]) -> Category:
    raw = safety["raw"]
    shared = {key: raw[key] for key in ("low", "high", "confidence", "n")}
    return Category(name=name, harmfulness=raw["value"], **shared)


def _case(name: str, decision: dict[str, Any]) -> Case:
    planned = decision["measurement"]["context"].get("planned", decision["n"])
    return Case(
        name=name,
        planned=planned,
        **{key: decision[key] for key in Case.model_fields if key not in ("name", "planned")},
    )
