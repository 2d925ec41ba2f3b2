"""Names of measurements: built and taken apart here alone.

`safety`, `safety[CATEGORY]`, `adherence`, `quality`, `robustness[PROFILE-SCENARIO]`,
`spqr[PROFILE-SCENARIO]`. Reports, thresholds, snapshots and test ids all carry them.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

AXES = ("safety", "adherence", "quality", "robustness", "spqr")
"""What a measurement can be of, in the order of reports."""
CHECKPOINT = "the checkpoint"
"""What progress and messages call the model before any fine-tuning."""
_NAME = re.compile(r"([^\[\]]+)(?:\[([^\[\]]+)\])?")


class Variant(NamedTuple):
    """The checkpoint after one benign fine-tuning: a profile x a scenario.

    A ready adapter is one too: the profile is "adapter", the scenario the adapter's name.
    """

    profile: str
    scenario: str

    @property
    def label(self) -> str:
        """PROFILE-SCENARIO, as measurements and files have it."""
        return f"{self.profile}-{self.scenario}"

    @property
    def title(self) -> str:
        """For people to read: 'standard x general'."""
        return f"{self.profile} x {self.scenario}"

    @classmethod
    def of(cls, label: str) -> "Variant":
        """The variant that a label names; profiles hold no hyphen, adapters' names may.

        >>> Variant.of("adapter-soft-light")
        Variant(profile='adapter', scenario='soft-light')
        """
        profile, _, scenario = label.partition("-")
        return cls(profile, scenario)


class Name(NamedTuple):
    """A measurement's name in its parts."""

    axis: str
    subject: str
    """What of the axis was measured: a category, a variant's label, or "" for the whole."""

    @property
    def variant(self) -> Variant:
        """The variant that the subject names."""
        return Variant.of(self.subject)

    def __str__(self) -> str:
        return f"{self.axis}[{self.subject}]" if self.subject else self.axis


def parse(name: str) -> Name:
    """The parts of a measurement's name; what is no such name is an axis of its own.

    >>> parse("robustness[standard-general]"), parse("safety")
    (Name(axis='robustness', subject='standard-general'), Name(axis='safety', subject=''))
    """
    match = _NAME.fullmatch(name)
    return Name(match[1], match[2] or "") if match else Name(name, "")


def axis(name: str) -> str:
    """The axis of a measurement's name."""
    return parse(name).axis


def safety(category: str | None = None) -> str:
    """The name of S, of all harmful prompts or of one category."""
    return str(Name("safety", category or ""))


def harmfulness(category: str | None = None) -> str:
    """The name of what S is worked out from."""
    return str(Name("harmfulness", category or ""))


def robustness(variant: Variant) -> str:
    """The name of R of a variant."""
    return str(Name("robustness", variant.label))


def drift(variant: Variant) -> str:
    """The name of what R is worked out from."""
    return str(Name("drift", variant.label))


def spqr(variant: Variant) -> str:
    """The name of SPQR of a variant."""
    return str(Name("spqr", variant.label))


def expected(categories: Iterable[str], variants: Iterable[Variant]) -> tuple[str, ...]:
    """The names of all measurements of a complete run, in the order of reports."""
    measured = tuple(variants)
    return (
        safety(),
        *map(safety, categories),
        "adherence",
        "quality",
        *map(robustness, measured),
        *map(spqr, measured),
    )
