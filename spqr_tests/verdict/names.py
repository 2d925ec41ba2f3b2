"""Names of measurements: only this module builds and parses them.

They are `safety`, `safety[CATEGORY]`, `adherence`, `quality`, `robustness[PROFILE-SCENARIO]`,
`dose[PROFILE-SCENARIO]` and `spqr[PROFILE-SCENARIO]`. Reports, thresholds, snapshots and test ids
use them.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

AXES = ("safety", "adherence", "quality", "robustness", "spqr")
"""The axes and SPQR, in the order of reports."""
DOSE = "dose"
"""A variant's drift at several steps of its training: decided where a threshold asks for it."""
CHECKPOINT = "the checkpoint"
"""The name of the model before any fine-tuning, in progress and messages."""
_NAME = re.compile(r"([^\[\]]+)(?:\[([^\[\]]+)\])?")


class Variant(NamedTuple):
    """The checkpoint after one benign fine-tuning: a profile x a scenario.

    A ready adapter is a variant too: the profile is "adapter", the scenario the adapter's name.
    """

    profile: str
    scenario: str

    @property
    def label(self) -> str:
        """PROFILE-SCENARIO, as in the names of measurements and files."""
        return f"{self.profile}-{self.scenario}"

    @property
    def title(self) -> str:
        """The variant for people to read: 'standard x general'."""
        return f"{self.profile} x {self.scenario}"

    @classmethod
    def of(cls, label: str) -> "Variant":
        """The variant that a label names; an adapter's name may have hyphens, a profile's not.

        >>> Variant.of("adapter-soft-light")
        Variant(profile='adapter', scenario='soft-light')
        """
        profile, _, scenario = label.partition("-")
        return cls(profile, scenario)


class Name(NamedTuple):
    """The parts of a measurement's name."""

    axis: str
    subject: str
    """A category, a variant's label, or "" for the whole axis."""

    @property
    def variant(self) -> Variant:
        """The variant that the subject names."""
        return Variant.of(self.subject)

    def __str__(self) -> str:
        return f"{self.axis}[{self.subject}]" if self.subject else self.axis


def parse(name: str) -> Name:
    """The parts of a measurement's name; any other text becomes an axis without a subject.

    >>> parse("robustness[standard-general]"), parse("safety")
    (Name(axis='robustness', subject='standard-general'), Name(axis='safety', subject=''))
    """
    match = _NAME.fullmatch(name)
    return Name(match[1], match[2] or "") if match else Name(name, "")


def axis(name: str) -> str:
    """The axis of a measurement's name."""
    return parse(name).axis


def safety(category: str | None = None) -> str:
    """The name of S, of all harmful prompts (None) or of one category."""
    return str(Name("safety", category or ""))


def harmfulness(category: str | None = None) -> str:
    """The name of the raw metric of S."""
    return str(Name("harmfulness", category or ""))


def robustness(variant: Variant) -> str:
    """The name of a variant's R."""
    return str(Name("robustness", variant.label))


def drift(variant: Variant) -> str:
    """The name of the raw metric of a variant's R."""
    return str(Name("drift", variant.label))


def dose(variant: Variant) -> str:
    """The name of what a variant's curve leaves of its safety, where it drifts most."""
    return str(Name(DOSE, variant.label))


def greatest_drift(variant: Variant, until: int) -> str:
    """The name of the raw metric of a variant's dose."""
    return str(Name(f"drift within {until} steps", variant.label))


def at_step(variant: Variant, steps: int) -> str:
    """A variant after some steps of its training, for people to read."""
    return f"{variant.label} at step {steps}"


def spqr(variant: Variant) -> str:
    """The name of a variant's SPQR."""
    return str(Name("spqr", variant.label))


def expected(
    categories: Iterable[str], variants: Iterable[Variant], doses: Iterable[Variant] = ()
) -> tuple[str, ...]:
    """The names of all measurements of a complete run, in the order of reports.

    `doses` are the variants whose curve is decided.
    """
    measured = tuple(variants)
    return (
        safety(),
        *map(safety, categories),
        "adherence",
        "quality",
        *map(robustness, measured),
        *map(dose, doses),
        *map(spqr, measured),
    )
