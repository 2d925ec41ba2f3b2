"""plan.json: what a run would do, counted before it starts."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from spqr_tests.reports.report import CutPrompts, Model, ProtocolName

SCHEMA = "spqr-plan/2"
FILE = "plan.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompts(_Part):
    """A prompt set that images are generated for, after the limit."""

    name: str
    """'harmful', 'ood', 'adherence' or 'quality'."""
    rows: int
    """After the limit."""


class Images(_Part):
    """The images of one model.

    `of` is 'the checkpoint' or a variant such as 'lite-general' or 'adapter-mine', or for a profile
    with prior preservation 'class of' and its name.
    """

    of: str
    """The checkpoint, PROFILE-SCENARIO, the same at a step of its curve, adapter-NAME, or class of
    PROFILE.
    """
    images: int
    """All that are needed; one that several prompt sets need is counted once."""
    stored: int
    """Images that the store holds."""
    flops: int
    """To generate the images that are not stored, with padding, decoding and text embeddings."""


class FineTune(_Part):
    """A variant that is trained."""

    profile: str
    """How it is trained."""
    scenario: str
    """What it is trained on."""
    seed: int
    """Of the training."""
    pictures: int
    """In the benign set."""
    steps: int
    """Of the optimizer; where the store holds the end of a curve, up to its last missing step."""
    batch: int
    """Pictures a step, those of all its batches where gradients are accumulated."""
    parameters: int
    """Those that are trained."""
    stored: bool
    """Whether the store holds it, and what a curve needs of it."""
    kept: int = 1
    """At how many steps its weights are written; 0 where they are stored."""
    flops: int
    """0 where it is stored.

    With prior preservation, a picture and an image of the class are two; text encoders are included
    where they are trained. Encoding pictures is counted with the first fine-tune on them.
    """


class Judgements(_Part):
    """The calls of one judge."""

    judge: str
    """As the protocol names it."""
    images: int
    """Generated images, and pictures of benign sets that are checked before training."""
    stored: int
    """Judgements that the store holds."""
    at_most: int
    """Calls to make; fewer if some images turn out to be identical."""
    flops: int | None
    """None for a judge that is not counted."""


class Embeddings(_Part):
    """What an encoder embeds: 'reference pictures' or 'generations'."""

    of: str
    """Reference pictures, or generations."""
    images: int
    """All that are needed."""
    stored: int
    """Embeddings that the store holds."""


class CaseOutlook(_Part):
    """What a case can decide with its n; numbers are in the unit of its threshold."""

    name: str
    """The measurement's name."""
    direction: Literal["min", "max"]
    """min or max."""
    bound: float
    """The threshold."""
    confidence: float
    """Of the threshold's interval."""
    truth: float | None
    """The true value of an assumed checkpoint.

    None, like all that follows from it, where too little is known.
    """
    n: int
    """Images that it will have."""
    n_needed: int | None
    """The n with which that checkpoint passes in four of five runs.

    None where no n up to 20,000 is enough.
    """
    power: float | None
    """The probability that it passes with `n`, in [0, 1]."""
    images: int
    """The images of all models that the case looks at."""
    more_images: int | None
    """The images that `n_needed` needs in addition."""
    can_pass: bool
    """False where even the best outcome that `n` allows misses the threshold."""
    warning: str | None
    """What is wrong with this n, in words."""


class Proposal(_Part):
    """Other numbers of prompts and trainings, and what they give."""

    images: int
    """Harmful images of each model."""
    trainings: int
    """Of each variant."""
    chance: float
    """The probability that all cases pass together, in [0, 1]."""
    cost: float
    """FLOPs of the whole run over those of the run as it is."""


class ReleaseOutlook(_Part):
    """What the run can decide as a whole, by simulated runs."""

    chance: float
    """The probability that a checkpoint 5 points better than every threshold passes all cases."""
    sound: float
    """The same for one that shows harm in 1 % of images, before and after every fine-tuning."""
    cases: int
    """How many have to pass."""
    bottleneck: str
    """The case that passes least often."""
    bottleneck_chance: float
    """How often it does, in [0, 1]."""
    images: int
    """Harmful images of each model."""
    trainings: int
    """Of each variant."""
    proposal: Proposal | None
    """The cheapest that makes `chance` 80 %; None where 8 trainings and 8 times the prompts do not.
    """
    next_training: Proposal
    """One more training of each variant."""
    same_in_prompts: Proposal
    """As many more prompts as that costs."""


class ComparisonOutlook(_Part):
    """How often a version that shows more harm is found, by simulated versions.

    Both versions have the same prompts, and are as alike as a correlation of .5 makes them. Judges'
    errors are left out.
    """

    of: str
    """baseline or snapshots."""
    named: str
    """The earlier version, as the option names it."""
    harmful: float
    """Of its images before fine-tuning, in percent."""
    points: float
    """By how many more the new version is assumed to be harmful, before and after fine-tuning."""
    measurements: int
    """How many are compared together, SPQR left out."""
    paired: float
    """The share of runs that fail where the store holds the images of both versions."""
    unpaired: float
    """The same where it does not."""


class Outlook(_Part):
    """A row per case, and what all of them assume."""

    release: ReleaseOutlook | None = None
    """All cases together; None where only some are selected."""
    comparisons: list[ComparisonOutlook] = Field(default_factory=list)
    """A row per earlier version; empty where only some cases are selected."""
    cases: list[CaseOutlook]
    """A row per selected case."""
    assumptions: list[str]
    """What the numbers suppose, a sentence each."""


class Flops(_Part):
    """Sums; a multiply-add counts as two operations."""

    generate: int
    """For images."""
    train: int
    """For fine-tunes."""
    judge: int
    """For judgements, where they are counted."""
    total: int
    """The sum."""
    not_counted: list[str]
    """Judges by name, and 'embeddings': what the sums leave out."""


class Time(_Part):
    """An estimate, for one process and for as many as this machine has cores or cards."""

    seconds: float
    """In one process."""
    workers: int = 1
    """As many as this machine has cores, or cards (`-n`)."""
    workers_seconds: float | None = None
    """By so many workers: they share all but the start and the longest training."""
    stages: dict[str, float]
    """Seconds of starting, generating, training, judging, embedding, FID and the store."""
    device: str
    """As `--spqr-device` resolved it, or what `--spqr-plan-device` named."""
    price: float | None = None
    """Of one process, where `--spqr-price` gives that of an hour."""
    rate: float
    """FLOP/s of a matrix product in the sampler's dtype: measured, or of the named device."""
    share: float
    """The share of that rate that generating reaches."""
    assumption: str
    """Where `share` is from."""
    not_counted: list[str]
    """Judges by name, and 'embeddings': what the time leaves out."""


class Disk(_Part):
    """An estimate of what the store grows by."""

    bytes: int
    """By which the store grows."""
    assumption: str
    """What was assumed."""


class MemoryPeak(_Part):
    """The most memory that one kind of work takes at once, in bytes; an estimate."""

    of: str
    """'generating', or 'training' and a profile."""
    batch: int
    """Images of a micro-batch, or pictures of a training step."""
    bytes: int
    """With the weights of the whole pipeline."""
    least: int | None
    """Of a training that recomputes its activations, as one does that does not fit otherwise."""
    fits: bool | None
    """Whether the device has so much (of a training: at least `least`); None if unknown."""


class Plan(_Part):
    """The whole plan."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(alias="schema")
    """Of this file."""
    suite: str
    """The version that wrote it."""
    model: Model
    """As in report.json; the fingerprint is empty where weights are not there."""
    protocol: ProtocolName
    """As in report.json."""
    limit: int | None
    """N of `--spqr-limit`, else null."""
    sequential: bool
    """True where the run may stop early; every number is then an upper limit."""
    prompts: list[Prompts]
    """The prompt sets that are needed."""
    cut: list[CutPrompts]
    """A row per set and encoder that cuts some of its prompts."""
    images: list[Images]
    """Of the checkpoint and of each variant."""
    finetunes: list[FineTune]
    """A row per variant that is trained."""
    judgements: list[Judgements]
    """A row per judge."""
    embeddings: list[Embeddings]
    """For adherence and quality."""
    outlook: Outlook
    """What the thresholds can decide with this n."""
    flops: Flops
    """What is left to compute."""
    time: Time | None
    """None when nothing is left to compute."""
    memory: list[MemoryPeak] = Field(default_factory=list)
    """Of what is left to make."""
    disk: Disk
    """What is left to store."""
