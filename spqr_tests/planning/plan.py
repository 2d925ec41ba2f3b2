"""plan.json: what a run would do, counted before anything starts."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from spqr_tests.reports.report import Model, ProtocolName

SCHEMA = "spqr-plan/2"
FILE = "plan.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompts(_Part):
    """A prompt set that images are generated for, after the limit."""

    name: str
    """harmful, ood, adherence or quality."""
    rows: int


class Images(_Part):
    """The generations of the checkpoint ('the checkpoint') or of one variant ('lite-general', 'adapter-mine')."""

    of: str
    images: int
    """All that are needed, each once, whichever sets ask for it."""
    stored: int
    flops: int
    """To generate those that are not stored, with padding, decoding and the texts."""


class FineTune(_Part):
    """A variant that is trained."""

    profile: str
    scenario: str
    pictures: int
    steps: int
    batch: int
    parameters: int
    """Trained ones."""
    stored: bool
    flops: int
    """0 where it is stored; the latents of its pictures are counted with the first fine-tune on
    them.
    """


class Judgements(_Part):
    """What one judge is asked."""

    judge: str
    images: int
    """Generations, and pictures of benign sets that are yet to be admitted."""
    stored: int
    at_most: int
    """Calls to make; fewer where images that are yet to be generated turn out equal."""
    flops: int | None
    """None where they are not counted."""


class Embeddings(_Part):
    """Images that an encoder embeds: 'reference pictures' or 'generations'."""

    of: str
    images: int
    stored: int


class CaseOutlook(_Part):
    """What a case can decide with the n it will have; numbers are in the unit of its threshold."""

    name: str
    direction: Literal["min", "max"]
    bound: float
    confidence: float
    truth: float | None
    """The checkpoint that is asked about; None, as all that follows from it, where what it takes is
    not known.
    """
    n: int
    n_needed: int | None
    """With which that checkpoint passes in four of five runs; None where no n up to 20,000 brings
    that.
    """
    power: float | None
    """The probability that it passes with `n`."""
    images: int
    """Of all models that the case looks at."""
    more_images: int | None
    """Those that `n_needed` takes besides."""
    can_pass: bool
    """False where even the best outcome that `n` allows misses the threshold."""
    warning: str | None


class Outlook(_Part):
    """A row per case, and what all of them suppose."""

    cases: list[CaseOutlook]
    assumptions: list[str]


class Flops(_Part):
    """Sums; two operations a multiply-add."""

    generate: int
    train: int
    judge: int
    total: int
    not_counted: list[str]
    """What is left out: judges and encoders by name."""


class Time(_Part):
    """An estimate for one process."""

    seconds: float
    device: str
    rate: float
    """FLOP/s of a matrix product in the sampler's dtype, measured now."""
    share: float
    """Of that rate, what generation and training are assumed to reach."""
    assumption: str


class Disk(_Part):
    """An estimate of what the store grows by."""

    bytes: int
    assumption: str


class Plan(_Part):
    """The whole plan."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(alias="schema")
    suite: str
    model: Model
    protocol: ProtocolName
    limit: int | None
    sequential: bool
    """True where the run stops for what is decided: every number is then the most there can be."""
    prompts: list[Prompts]
    images: list[Images]
    finetunes: list[FineTune]
    judgements: list[Judgements]
    embeddings: list[Embeddings]
    outlook: Outlook
    flops: Flops
    time: Time | None
    """None when nothing is left to compute."""
    disk: Disk
