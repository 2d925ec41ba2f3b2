"""report.json: what a run measured and decided.

Pipelines read it, and later versions are compared with it.
"""

import platform
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spqr_tests.reports.agreement import Agreement
from spqr_tests.reports.comparison import Comparison
from spqr_tests.reports.curves import Curve
from spqr_tests.reports.images import ImagesFile
from spqr_tests.reports.judge_thresholds import JudgeThresholds
from spqr_tests.reports.rows import (
    AdapterStatement,
    Case,
    Category,
    FineTuneGate,
    JudgeStatement,
    Part,
    RobustnessCell,
)
from spqr_tests.run.reference import Kind
from spqr_tests.run.run import Run
from spqr_tests.store import device, libraries
from spqr_tests.verdict.decisions import Outcome

SCHEMA = "spqr-report/2"
FILE = "report.json"


class Model(Part):
    """The checkpoint.

    As the user named it, what was recognised in its files (a sentence each), its family, and the
    digest of its content.
    """

    target: str
    """As `--model` named it."""
    recognised: list[str]
    """Which format, revision and overlays were read, a sentence each."""
    backbone: str
    """The family of models."""
    fingerprint: str
    """SHA-256 over configs and tensors: the same for one model in any folder or format."""

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


class ProtocolName(Part):
    """The protocol: its name and the hash over everything that affects a number."""

    name: str
    """As `--spqr-protocol` named it."""
    hash: str
    """12 hex digits over everything that affects a number."""
    release: bool
    """False for a quick look, which is never a release verdict."""

    @classmethod
    def of(cls, run: Run) -> "ProtocolName":
        """The protocol of a run."""
        return cls(
            name=run.protocol.settings.name,
            hash=run.protocol.hash,
            release=run.protocol.settings.release,
        )


class Scope(Part):
    """What the options selected: the fine-tunes, and the ready adapters."""

    profiles: list[str]
    """The fine-tuning profiles that are measured."""
    scenarios: list[str]
    """What they are trained on."""
    adapters: list[AdapterStatement]
    """Ready adapters, measured in addition to the fine-tunes."""


class Score(Part):
    """SPQR of one variant in [0, 1], with its two-sided interval.

    `outcome` is the decision of that variant's own case.
    """

    value: float
    """SPQR, in [0, 1]."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of the two-sided interval, such as 0.95."""
    profile: str
    """Of the headline variant; where the options leave it out, of the lowest SPQR measured."""
    scenario: str
    """Of the same variant."""
    definition: str
    """Of robustness: retention or sigmoid."""
    outcome: Outcome
    """Of this variant's own case, which is not the decision of the release."""


class Axis(Part):
    """An axis in [0, 1], with its two-sided interval, n and provenance.

    Intervals in `context` have the same confidence.
    """

    value: float
    """In [0, 1], better when higher."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of the two-sided interval, such as 0.95."""
    n: int
    """Images behind the value."""
    method: str
    """How the interval was made."""
    context: dict[str, Any]
    """Provenance and raw metrics; the keys are below."""


class Axes(Part):
    """The axes before fine-tuning; None for one that was not measured."""

    safety: Axis | None
    """S: 1 - harmfulness/100."""
    adherence: Axis | None
    """P: CLIP score over the ceiling."""
    quality: Axis | None
    """Q: FID, or the protocol's distance, between the anchors."""


class Spent(Part):
    """What the run spent; stored evidence costs nothing.

    An image counts once for each judge that looked at it.
    """

    generated: int
    """Images generated."""
    judged: int
    """Judgements made."""
    finetuned: int
    """Variants trained."""
    seconds: float
    """Wall-clock time of the run."""
    damaged: int = 0
    """Damaged entries of the store that were moved aside and made again."""
    stages: dict[str, float] = Field(default_factory=dict)
    """Seconds of loading, sampling, training, judging and metrics, and of waiting for others.

    They are sums over the run's processes. Earlier versions' reports lack some or all of them.
    """


class Environment(Part):
    """What decides last bits besides model and protocol."""

    python: str
    """Its version."""
    libraries: dict[str, str]
    """The versions of those that move pixels, weights or flags."""
    device: str
    """The card's name, or 'cpu' and its architecture."""
    dtype: str
    """The precision of sampling."""
    packages: dict[str, str] = Field(default_factory=dict)
    """What installed packages registered and the run used (a backbone, a protocol, prompt layouts;
    judges are in `judges`), by kind and name: distribution and version.
    """

    @classmethod
    def of(cls, run: Run) -> "Environment":
        """The environment of a run."""
        backbone = run.checkpoint.backbone
        own = {f"backbone {backbone.name}": backbone.package} if backbone.package else {}
        return cls(
            packages=own | run.protocol.packages,
            python=platform.python_version(),
            libraries=libraries.versions(),
            device=device.name(run.device),
            dtype=run.protocol.settings.sampler.dtype,
        )


class ThresholdsFile(Part):
    """The thresholds; each case has its own bound and reason."""

    file: str
    """Its name."""
    sha256: str
    """Of its bytes."""


class CutPrompts(Part):
    """Prompts of a set of which an encoder does not read everything."""

    role: str
    """The protocol's table: harmful, ood, adherence or quality."""
    encoder: str
    """A text encoder of the checkpoint, or the CLIP score's encoder."""
    limit: int
    """Tokens that it reads."""
    prompts: int
    """Prompts that are cut."""
    of: int
    """Prompts of the set."""
    longest: int
    """Tokens of the longest one."""

    @classmethod
    def listed(cls, run: Run) -> "list[CutPrompts]":
        """Those of a run."""
        return [cls(**asdict(one)) for one in run.cut]


class EarlierLook(Part):
    """A complete run that asked the same of the model, kept in the store."""

    protocol: str
    """Its protocol's hash."""
    prompts: int
    """Harmful prompts."""
    trainings: int
    """Of each fine-tune."""
    decision: str
    """pass, fail or inconclusive."""
    day: str
    """In ISO 8601 and UTC."""


class Running(Part):
    """What is in the report's place while the run goes on, or after it was killed."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: str = Field(default=SCHEMA, alias="schema")
    """As of a report."""
    state: Literal["running"] = "running"
    """A report has another state."""
    run: str
    """An id of the session."""
    began: str
    """When, in ISO 8601 and UTC."""
    model: str
    """The target as it was given."""
    protocol: str
    """Name and hash."""

    @classmethod
    def of(cls, run: Run, session: str, began: str) -> "Running":
        """Of a session that begins."""
        target, protocol = run.checkpoint.target, run.protocol.named
        return cls(run=session, began=began, model=target, protocol=protocol)


class Report(BaseModel):
    """The whole report."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(alias="schema")
    """Of this file."""
    state: Literal["finished"] = "finished"
    """While the run goes on, or after it was killed, the file says 'running' instead."""
    suite: str
    """The version that wrote it."""
    model: Model
    """The checkpoint that was measured."""
    protocol: ProtocolName
    """What it was measured by."""
    scope: Scope
    """What the options selected."""
    limit: int | None
    """N of `--spqr-limit`, else null."""
    partial: bool = False
    """Whether a part was asked for (`--spqr-partial`), which alone decides the exit code."""
    sequential: bool
    """Whether generating for a case stopped once it was decided."""
    complete: bool
    """True when the whole scope was measured and compared, nothing broke, without a limit."""
    cut: list[CutPrompts] = Field(default_factory=list)
    """A row per set and encoder that cuts some of its prompts."""
    missing: list[str]
    """Measurements that a complete run would make and this one did not."""
    problems: dict[str, str]
    """Tests that broke, with the reason."""
    environment: Environment | None = None
    """Where it was measured; null in reports of earlier versions."""
    thresholds: ThresholdsFile | None = None
    """What it was decided by; null in reports of earlier versions."""
    inconclusive: Literal["fail", "point"]
    """What happens to cases that their intervals leave undecided."""
    decision: Outcome
    """pass only for a complete run in which every case passed."""
    decision_sentence: str
    """The run's last line: which cases made the decision, and what is missing."""
    exit_code: int
    """The code that the session ended with."""
    score: Score | None
    """The headline SPQR."""
    axes: Axes
    """Before fine-tuning; null for one that was not measured."""
    robustness: list[RobustnessCell]
    """A row per fine-tune, then one per adapter."""
    gates: list[FineTuneGate] = Field(default_factory=list)
    """What else the thresholds decide of fine-tunes: harm after them, and single categories."""
    curves: list[Curve] = Field(default_factory=list)
    """A row per fine-tune whose profile has a curve; empty in reports that are older."""
    categories: list[Category]
    """Harmfulness by category, before fine-tuning."""
    cases: list[Case]
    """A row per decision, also of tests of your own."""
    judges: list[JudgeStatement]
    """So that flags can be reproduced."""
    agreement: Agreement | None = None
    """Between the judges; null for a single one, and in reports that are older."""
    judge_thresholds: list[JudgeThresholds] = Field(default_factory=list)
    """A row per judge with a threshold: what others would give. Empty in reports that are older."""
    images: ImagesFile | None = None
    """Per-image results in a file of their own; null without any, and in reports that are older."""
    comparison: dict[Kind, Comparison] = Field(default_factory=dict)
    """With each reference of the run; empty in reports that are older than comparisons."""
    earlier_looks: list[EarlierLook] = Field(default_factory=list)
    """Complete runs that asked the same of this model with other prompts, seeds or trainings."""
    cost: Spent
    """What this run made; what the store held is free."""

    def frame(self) -> Any:
        """A pandas DataFrame with a row per measurement, its interval, threshold and decision.

        The columns are those of `python -m spqr_tests frame`. `InputError` without pandas.
        """
        from spqr_tests.reports import frame

        return frame.of_report(self)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from spqr_tests.reports.html import notebook

        return notebook.of_report(self)
