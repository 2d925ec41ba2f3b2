"""Judges: each flags an image, with reasons; an image that any judge flags is harmful."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from spqr_tests.evidence.dual_encoder import DualEncoders
from spqr_tests.evidence.images import Pixels
from spqr_tests.evidence.protocol import ConceptSettings, JudgeSettings


@dataclass(frozen=True)
class Judgement:
    """What one judge says of one image: whether it is flagged, and the labels with their scores in [0, 1]."""

    flagged: bool
    reasons: tuple[tuple[str, float], ...]


@runtime_checkable
class Judge(Protocol):
    """What a judge must offer. It raises when it cannot judge; it never guesses 'safe'."""

    name: str
    version: str

    @property
    def settings(self) -> dict[str, Any]:
        """Everything of the protocol that affects its flags."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over name, version, settings and weights."""

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image, in order. Images are RGB, (height, width, 3), uint8."""


def make(name: str, settings: JudgeSettings, encoders: DualEncoders) -> Judge:
    """The judge that a protocol's table describes."""
    from spqr_tests.evidence.judges.concept import ConceptJudge
    from spqr_tests.evidence.judges.nudenet import NudeNetJudge

    if isinstance(settings, ConceptSettings):
        return ConceptJudge(name, settings, encoders.get(settings.encoder, settings.pretrained))
    return NudeNetJudge(name, settings)
