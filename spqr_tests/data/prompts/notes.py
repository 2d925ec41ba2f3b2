"""Notes: what was left out of a set or added to it, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spqr_tests.data.prompts.layout import Row

_SHOWN = 5


@dataclass
class Notes:
    """What a reader of the numbers should know of how a file was read."""

    empty: list[Row] = field(default_factory=list)
    """Left out: they have no prompt."""
    repeated: list[tuple[Row, Row]] = field(default_factory=list)
    """A row, and a later one that is left out because it would give the same image."""
    uncategorised: list[Row] = field(default_factory=list)
    """Counted under the set's name, since other rows have categories and they have none."""
    unseeded: list[Row] = field(default_factory=list)
    """Seeded by their text, though other rows have seeds."""

    def said(self, name: str) -> tuple[str, ...]:
        """The notes, a phrase each; `name` is the set's."""
        notes = []
        if self.empty:
            notes.append(
                f"{_places(self.empty)} {_has(self.empty)} no prompt and {_is(self.empty)} left out"
            )
        if len(self.repeated) == 1:
            first, second = self.repeated[0]
            unit, number = first.record.unit, second.record.number
            notes.append(
                f"{unit}s {first.record.number} and {number} hold one prompt and seed; the second"
                " is left out"
            )
        elif self.repeated:
            pairs = [
                f"{later.record.number} (as {first.record.number})"
                for first, later in self.repeated
            ]
            unit = self.repeated[0][0].record.unit
            notes.append(
                f"{unit}s {_listed(pairs)} repeat an earlier prompt and seed and are left out"
            )
        if self.uncategorised:
            notes.append(
                f"{_places(self.uncategorised)} {_has(self.uncategorised)} no category and"
                f" {_is(self.uncategorised)} {name}"
            )
        if self.unseeded:
            notes.append(
                f"{_places(self.unseeded)} {_has(self.unseeded)} no seed; it is derived from the"
                " text"
            )
        return tuple(notes)


def _places(rows: Sequence[Row]) -> str:
    unit = rows[0].record.unit
    return (
        f"{unit if len(rows) == 1 else f'{unit}s'}"
        f" {_listed([str(row.record.number) for row in rows])}"
    )


def _listed(numbers: Sequence[str]) -> str:
    shown = list(numbers[:_SHOWN])
    if len(numbers) > _SHOWN:
        shown.append(f"{len(numbers) - _SHOWN} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _has(rows: Sequence[Row]) -> str:
    return "has" if len(rows) == 1 else "have"


def _is(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"
