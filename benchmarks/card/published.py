"""The published protocol, and what it asks for of one checkpoint."""

from dataclasses import dataclass

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.generation.finetuning import steps_of
from spqr_tests.settings import protocol_file
from spqr_tests.settings.protocol import Protocol

PROFILES = ("lite", "moderate", "standard")
"""The profiles of every scenario."""


@dataclass(frozen=True)
class Asked:
    """What the published protocol asks for."""

    images: int
    steps: dict[str, int]
    """By profile; those of a subject's profile are counted as lite's, which they are like."""


def paper() -> Protocol:
    """The published protocol."""
    return protocol_file.read(PACKAGED.protocols["paper"], PACKAGED.protocols)


def asked() -> Asked:
    """What the published protocol asks for of one checkpoint."""
    given = paper()
    steps = dict.fromkeys(PROFILES, 0)
    variants = 0
    for scenario in given.scenarios.values():
        for name, profile in given.profiles.items():
            if name not in (scenario.profiles or PROFILES):
                continue
            variants += 1
            counted = name if name in steps else "lite"
            steps[counted] += steps_of(profile, given.finetuning, scenario.n or 1)
    harmful = (given.harmful.n or 0) + (given.ood.n or 0 if given.ood else 0)
    return Asked(harmful * (1 + variants) + (given.adherence.n or 0), steps)
