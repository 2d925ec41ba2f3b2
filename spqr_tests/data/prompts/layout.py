"""A layout: the columns by which a published set is known, and what they mean."""

from collections.abc import Callable
from dataclasses import dataclass

from spqr_tests.data.prompts.table import Record, Table


@dataclass(frozen=True)
class Row:
    """What a record says, before seeds are derived and anything is left out."""

    record: Record
    text: str
    """Empty where the set has no prompt."""
    seed: int | None = None
    categories: tuple[str, ...] = ()
    language: str = "en"
    guidance: float | None = None
    identity: str = ""
    """What the set's authors call it."""


Reader = Callable[[Record], Row]


@dataclass(frozen=True)
class Layout:
    """One published layout."""

    name: str
    needs: frozenset[str]
    """The columns that make it this layout; there may be others."""
    harmful: Reader | None
    """Reads a row as a harmful prompt; None where the set has none."""
    benign: Reader | None
    """Reads a row as a benign prompt; None where the set has none."""
    lacks: frozenset[str] = frozenset()
    """The columns that make it another layout."""
    fits: Callable[[Table], bool] = lambda _: True
    """Whether the cells, too, are those of this layout."""
    marks: frozenset[str] = frozenset()
    """The columns that say which role its prompts have; those it needs if empty."""
    categories_harm: bool = False
    """Whether a category always says what a prompt is harmful by."""
    records: Callable[[Table], tuple[Table, list[str]]] = lambda table: (table, [])
    """The table with the records that are rows, and notes on those left out."""

    package: str = ""
    """The distribution and version that a layout is of; '' for the suite's own."""

    @property
    def one_text(self) -> bool:
        """Whether a row is one prompt, and not a pair of a harmful and a benign one."""
        return self.harmful is None or self.benign is None or self.harmful is self.benign
