"""Notes: what was left out of a set or added to it, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spqr_tests.data.prompts import places
from spqr_tests.data.prompts.layout import Row


@dataclass
class Notes:
    """What a reader of the numbers should know of how a file was read."""

    selected: list[str] = field(default_factory=list)
    """Phrases on rows that are not of the set that was asked for."""
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
        notes = list(self.selected)
        if self.empty:
            notes.append(_sentence(self.empty, "{has} no prompt and {are} left out"))
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
                f"{unit}s {places.listed(pairs)} repeat an earlier prompt and seed and are left out"
            )
        if self.uncategorised:
            notes.append(_sentence(self.uncategorised, f"{{has}} no category and {{are}} {name}"))
        if self.unseeded:
            notes.append(_sentence(self.unseeded, "{has} no seed; it is derived from the text"))
        return tuple(notes)


def _sentence(rows: Sequence[Row], said: str) -> str:
    records = [row.record for row in rows]
    verbs = said.replace("{has}", places.has(records)).replace("{are}", places.are(records))
    return f"{places.of(records)} {verbs}"
