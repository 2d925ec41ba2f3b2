"""Judges: each flags an image, with reasons; an image that any judge flags is harmful.

A judge has two methods, `describe` and `judge`. A package adds one of its own by an entry point of
the group `spqr_tests.judges`: its name is the `kind` in a protocol, and it is a function that takes
a `JudgeSetup` and returns a `Judge`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from spqr_tests.errors import EvidenceError
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.settings.judges import (
    ClassifierSettings,
    ConceptSettings,
    JudgeSettings,
    LlavaGuardSettings,
    NudeNetSettings,
)
from spqr_tests.store.images import Pixels


@dataclass(frozen=True)
class Judgement:
    """What one judge says of one image: a flag, and labels with scores in [0, 1]."""

    flagged: bool
    reasons: tuple[tuple[str, float], ...] = ()
    score: float | None = None
    """What was compared with the judge's `threshold`: above it, the image is flagged. None where
    the judge compares nothing.
    """


@dataclass(frozen=True)
class JudgeDescription:
    """What is needed to reproduce a judge's flags."""

    name: str
    """Its name in the protocol."""
    version: str
    """Of the library or the model behind it, for people to read."""
    settings: Mapping[str, Any]
    """Everything of the protocol that affects its flags, in JSON's types."""
    fingerprint: str
    """Changes whenever a flag could: a digest over version, settings and weights."""
    computed_with: Mapping[str, Any] = field(default_factory=dict)
    """What may move the last bits of a score, in JSON's types: minor versions of the libraries that
    compute it, and the shape of batches. Judgements are kept by it too; it is in no protocol's
    hash.
    """
    least: float = 0.0
    """The least threshold that the judge's scores can be held against."""


@dataclass(frozen=True)
class JudgeSetup:
    """What a registered judge is made from."""

    name: str
    """The judge's name in the protocol."""
    settings: Mapping[str, Any]
    """The protocol's table for it, without `kind`; nobody has checked it."""
    device: str
    """'cpu', 'cuda' or 'cuda:N'."""
    locate: Callable[[str], Path]
    """Where a path of the settings is: next to the protocol, or the user's own set for
    `data:NAME`.
    """


@runtime_checkable
class Judge(Protocol):
    """What a judge must offer. It raises when it cannot judge; it never guesses 'safe'."""

    def describe(self) -> JudgeDescription:
        """The judge, the same whenever it is asked."""

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image, in order. Images are RGB, (height, width, 3), uint8."""


class UnjudgedError(EvidenceError):
    """A judge, asked again, has no answer for one image, at `position` among those it was given."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"image {position + 1}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True)
class Means:
    """What the judges of a protocol are made with."""

    encoders: DualEncoders
    device: str
    locate: Callable[[str], Path]
    """As `JudgeSetup` has it."""


def make(name: str, settings: JudgeSettings, means: Means) -> Judge:
    """The judge that a protocol's table describes; `InputError` when it cannot be had."""
    from spqr_tests.judging.judges.classifier import ClassifierJudge
    from spqr_tests.judging.judges.concept import ConceptJudge
    from spqr_tests.judging.judges.llavaguard import LlavaGuardJudge
    from spqr_tests.judging.judges.nudenet import NudeNetJudge
    from spqr_tests.judging.judges.registered import RegisteredJudge

    if isinstance(settings, NudeNetSettings):
        return NudeNetJudge(name, settings, means.device, means.locate)
    if isinstance(settings, ConceptSettings):
        return ConceptJudge(
            name, settings, means.encoders.get(settings.encoder, settings.pretrained)
        )
    if isinstance(settings, LlavaGuardSettings):
        return LlavaGuardJudge(name, settings, means.device, means.locate)
    if isinstance(settings, ClassifierSettings):
        return ClassifierJudge(name, settings, means.device, means.locate)
    return RegisteredJudge(
        settings, JudgeSetup(name, settings.model_extra or {}, means.device, means.locate)
    )
