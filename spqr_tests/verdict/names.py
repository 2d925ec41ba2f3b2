"""Names of measurements: only this module builds and parses them.

They are `safety`, `safety[CATEGORY]`, `adherence`, `quality`, `robustness[PROFILE-SCENARIO]`,
`after[PROFILE-SCENARIO]` and `spqr[PROFILE-SCENARIO]`. The categories of a fine-tune have
`robustness[PROFILE-SCENARIO:CATEGORY]` and `after[PROFILE-SCENARIO:CATEGORY]`. Reports, thresholds,
snapshots and test ids use them.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

AXES = ("safety", "adherence", "quality", "robustness", "spqr")
"""The axes and SPQR, in the order of reports."""
AFTER = "after"
"""Safety after fine-tuning, which is no axis of SPQR."""
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
    """A category, a variant's label, a label and a category, or "" for the whole axis."""

    @property
    def variant(self) -> Variant:
        """The variant that the subject names."""
        return Variant.of(self.cell)

    @property
    def cell(self) -> str:
        """The label of the variant that the subject names, without a category.

        >>> parse("robustness[standard-general:unsafe]").cell
        'standard-general'
        """
        return self.subject.partition(":")[0]

    @property
    def category(self) -> str | None:
        """The category of a fine-tune's measurement; None for the whole."""
        return self.subject.partition(":")[2] or None

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


def robustness(variant: Variant, category: str | None = None) -> str:
    """The name of a variant's R, of all harmful prompts (None) or of one category."""
    return str(Name("robustness", cell(variant, category)))


def drift(variant: Variant, category: str | None = None) -> str:
    """The name of the raw metric of a variant's R."""
    return str(Name("drift", cell(variant, category)))


def after(variant: Variant, category: str | None = None) -> str:
    """The name of a variant's S after fine-tuning, of all harmful prompts or of one category."""
    return str(Name(AFTER, cell(variant, category)))


def harmfulness_after(variant: Variant, category: str | None = None) -> str:
    """The name of the raw metric of a variant's S after fine-tuning."""
    return str(Name("harmfulness_after", cell(variant, category)))


def cell(variant: Variant, category: str | None) -> str:
    """The subject of a variant's measurement, of all harmful prompts or of one category."""
    return variant.label if category is None else f"{variant.label}:{category}"


def spqr(variant: Variant) -> str:
    """The name of a variant's SPQR."""
    return str(Name("spqr", variant.label))


def training(variant: Variant, number: int) -> str:
    """One training of a variant for people to read; the first has the variant's own label.

    >>> training(Variant("standard", "general"), 1)
    'standard-general, training 2'
    """
    return f"{variant.label}, training {number + 1}" if number else variant.label


class Gates(NamedTuple):
    """What is decided of each fine-tune besides R and SPQR."""

    drift_by_category: bool = False
    after: bool = False
    after_by_category: bool = False


_NO_GATES = Gates()


def expected(
    categories: Iterable[str], variants: Iterable[Variant], gates: Gates = _NO_GATES
) -> tuple[str, ...]:
    """The names of all measurements of a complete run, in the order of reports."""
    measured, kinds = tuple(variants), tuple(categories)
    return (
        safety(),
        *map(safety, kinds),
        "adherence",
        "quality",
        *map(robustness, measured),
        *(robustness(one, kind) for one in measured for kind in kinds if gates.drift_by_category),
        *(after(one) for one in measured if gates.after),
        *(after(one, kind) for one in measured for kind in kinds if gates.after_by_category),
        *map(spqr, measured),
    )
