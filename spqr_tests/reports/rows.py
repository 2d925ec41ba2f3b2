"""The rows of report.json's tables: fine-tunes, categories, cases, judges and adapters."""

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from spqr_tests.verdict.decisions import DecidedBy, Outcome
from spqr_tests.verdict.thresholds import Direction, Severity


class Part(BaseModel):
    """A part of the report: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AdapterStatement(Part):
    """A ready adapter.

    Its name, what was recognised in its file, and the digest of the checkpoint with it.
    """

    name: str
    """As `--spqr-adapter` named it."""
    recognised: str
    """What its file is, in a sentence."""
    fingerprint: str
    """Of the checkpoint with the adapter."""


class Drift(Part):
    """Harmfulness before and after fine-tuning, and the drift between them.

    Harmfulness is in percent; the drift and its two-sided interval are in percentage points.
    """

    n: int
    """Pairs of images."""
    before: float
    """Harmfulness before fine-tuning, in percent."""
    after: float
    """Harmfulness after it, in percent."""
    drift: float
    """After minus before, in percentage points."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    correlation: float | None
    """Of the flags before and after (phi); None where one of them never differs."""


class Group(Drift):
    """The drift of one category or language, or by the flags of one judge alone."""

    by: Literal["category", "language", "judge"]
    """What the prompts are grouped by; a judge's row is what it alone flags."""
    name: str
    """Of the category, language or judge. A prompt of several categories counts in each."""


class OutOfDistribution(Drift):
    """The drift on harmful prompts of another kind, and the retention in [0, 1] that it implies.

    It is not part of the score.
    """

    retention: float
    """1 - drift/100, in [0, 1]; not part of the score."""


class Training(Part):
    """One training of a variant."""

    seed: int
    """Of the training."""
    drift: float
    """Harmfulness after minus before, in percentage points."""
    harmfulness_after: float
    """In percent."""


class LossStatement(Part):
    """The loss on benign pictures before and after a fine-tune, by the model's own objective."""

    before: float
    """The mean over pictures, with fixed noises and times."""
    after: float
    """The same after it."""
    gain: float
    """The relative fall: 1 - after/before."""
    low: float
    """The lower bound of its two-sided 95 % interval, paired by picture."""
    high: float
    """The upper bound."""
    n: int
    """Pictures."""
    held_out: bool
    """False where the set is too small to hold any out, so that they were trained on."""


class KeptStatement(Part):
    """P or Q of the same benign prompts and seeds before and after a fine-tune.

    All intervals are two-sided, at 95 %.
    """

    before: float
    """Of the checkpoint, in [0, 1]."""
    after: float
    """Of the variant, in [0, 1]."""
    low: float
    """The lower bound of the value after."""
    high: float
    """The upper bound."""
    drift: float
    """After minus before."""
    drift_low: float
    """The lower bound of the drift."""
    drift_high: float
    """The upper bound."""
    share: float
    """What is left of the CLIP score, or of Q."""
    share_low: float
    """The lower bound of the share."""
    share_high: float
    """The upper bound."""
    n: int
    """Images of each model."""


class UptakeStatement(Part):
    """What one training did to the model; null for what the protocol does not measure."""

    loss: LossStatement | None
    """What was learned."""
    adherence: KeptStatement | None
    """P before and after."""
    quality: KeptStatement | None
    """Q before and after."""
    not_evidence: str | None
    """Why it is no evidence, so that all that is decided of this variant is inconclusive; else
    null."""


class RobustnessCell(Part):
    """R of one variant, in [0, 1].

    Drift and harmfulness are in percentage points. All intervals are two-sided and have the same
    confidence, except that of SPQR.
    """

    profile: str
    """How the variant was trained; `adapter` for a ready one."""
    scenario: str
    """What it was trained on; an adapter's name."""
    value: float
    """R, in [0, 1]."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of the two-sided interval, such as 0.95."""
    definition: str
    """By which R is computed: retention or sigmoid."""
    definitions: dict[str, float]
    """R by every definition."""
    drift: float
    """Harmfulness after minus before, in percentage points."""
    drift_low: float
    """The lower bound of the two-sided interval."""
    drift_high: float
    """The upper bound."""
    harmfulness_before: float
    """In percent, before fine-tuning."""
    harmfulness_after: float
    """In percent, after it."""
    relative_retention: float | None = None
    """1 - drift/(100 - harmfulness before), in [0, 1]: the share of what was harmless that still
    is. None where nothing was."""
    trainings: list[Training] = Field(default_factory=list)
    """Each training; empty for a ready adapter."""
    training_icc: float | None = None
    """The intraclass correlation of one training's flags that the interval takes in: as the
    protocol states it, pooled with the measured one. None for an adapter."""
    training_sd: float | None = None
    """What it means here: the standard deviation between trainings, in points."""
    between_sd: float | None = None
    """That of the measured trainings; None for one."""
    prompts_error: float | None = None
    """The standard error of the drift over prompts, in points."""
    newly_flagged: int
    """Images flagged after the first training and not before."""
    no_longer_flagged: int
    """Images flagged before fine-tuning and not after the first training."""
    mcnemar_p: float | None
    """None in a sequential run, since a p-value needs a fixed n."""
    mcnemar_method: str | None
    """The test: of flags, or where prompts have several images, of their net changes."""
    correlation: float | None
    """Of the flags before and after (phi); None where one of them never differs."""
    distinct: float | None = None
    """The share of the variant's images that differ from all before them, in [0, 1]."""
    n: int
    """Pairs of images."""
    planned: int
    """The protocol's n; larger than `n` where the case was decided early."""
    language: str | None
    """Of the fine-tuning set; null for an adapter."""
    domain: str | None
    """Of the fine-tuning set; null for an adapter."""
    groups: list[Group]
    """The drift by category, language and judge; empty in a sequential run."""
    ood: OutOfDistribution | None
    """The drift on harmful prompts of another kind, where the protocol has them."""
    uptakes: list[UptakeStatement] = Field(default_factory=list)
    """What each training taught and left; empty in reports of earlier versions."""
    not_evidence: str | None = None
    """Why R is inconclusive whatever its value; else null."""
    spqr: float | None
    """SPQR of this variant, in [0, 1]."""
    spqr_low: float | None
    """The lower bound of the two-sided interval."""
    spqr_high: float | None
    """The upper bound."""
    spqr_confidence: float | None
    """Of the two-sided interval, such as 0.95."""


class FineTuneGate(Part):
    """A measurement of a fine-tune besides R and SPQR, in [0, 1].

    Safety after it, or its R or safety after it on the prompts of one category.
    """

    name: str
    """Such as `after[standard-general]` or `robustness[standard-general:unsafe]`."""
    value: float
    """In [0, 1], better when higher."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of the two-sided interval, such as 0.95."""
    n: int
    """Images behind it, or pairs of images."""
    not_evidence: str | None = None
    """Why it is inconclusive whatever its value; else null."""


class Category(Part):
    """Harmfulness of one category in percentage points, with its two-sided interval."""

    name: str
    """As the prompt set names it."""
    harmfulness: float
    """In percent, before fine-tuning."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of the two-sided interval, such as 0.95."""
    n: int
    """Images of its prompts."""


class JudgeStatement(Part):
    """A judge, described so that its flags can be reproduced."""

    name: str
    """As the protocol names it."""
    version: str
    """Of the library or model behind it."""
    fingerprint: str
    """Changes whenever a flag could."""
    settings: dict[str, Any]
    """Everything in the protocol that affects its flags."""


class AdjustedInterval(Part):
    """The wider interval by which one of a family of cases may fail.

    `method` is how its confidence is adjusted, `family` how many cases it is adjusted for.
    """

    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of this interval as one of the family."""
    family: int
    """How many cases are decided together."""
    method: str
    """Holm, or Bonferroni in a sequential run."""


class Case(Part):
    """A decision: what was measured against which bound, and the outcome.

    Numbers are in `unit`.
    """

    name: str
    """The measurement's name."""
    measured: str
    """What the threshold is about: the same, or its raw metric where the threshold is a `max`."""
    unit: str
    """share, points or score."""
    value: float
    """The estimate."""
    low: float
    """The lower bound of the two-sided interval."""
    high: float
    """The upper bound."""
    confidence: float
    """Of the two-sided interval, such as 0.95."""
    adjusted: AdjustedInterval | None = Field(
        validation_alias=AliasChoices("adjusted", "corrected")
    )
    """Of a category; called `corrected` in spqr-report/1."""
    n: int
    """Images behind it; for a drift, pairs of images."""
    prompts: int | None = None
    """Prompts that these are of; null where that does not matter."""
    trainings: int | None = None
    """Trainings behind it; null where there are none."""
    planned: int
    """The protocol's n; larger than `n` where the case was decided early."""
    direction: Direction
    """min or max."""
    bound: float
    """The threshold."""
    reason: str = ""
    """Why the threshold is what it is, as its file says."""
    severity: Severity = "fail"
    """`warn` for a threshold that never decides the release."""
    outcome: Outcome
    """pass, fail or inconclusive."""
    decided_by: DecidedBy
    """interval, or estimate with `--spqr-inconclusive=point`."""
    sentence: str
    """The decision in words."""

    @property
    def warns(self) -> bool:
        """Whether it did not pass and only warns."""
        return self.severity == "warn" and self.outcome is not Outcome.PASS
