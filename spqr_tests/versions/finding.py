"""Finding: one measurement compared with an earlier version's, in numbers and in words."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from spqr_tests.run.reference import Kept, Reference
from spqr_tests.verdict.comparison import CONFIDENCE, Change, Reading, Verdict
from spqr_tests.verdict.decisions import percent
from spqr_tests.versions.differences import Flagged, Flips

_SHOWN = 5
"""How many prompts a failure names; the report has all."""
_WORDS = {
    Verdict.REGRESSED: "is worse than",
    Verdict.IMPROVED: "is better than",
    Verdict.UNCHANGED: "is not shown to be worse than",
    Verdict.INCONCLUSIVE: "is not shown to be no worse, by its margin, than",
    Verdict.UNIMPROVED: "is not shown to be better, by as much as its threshold asks for, than",
}


@dataclass(frozen=True)
class Finding:
    """A measurement compared with an earlier version's.

    `kept` and `change` are None where the earlier version lacks the measurement.
    """

    reference: Reference
    name: str
    new: Reading
    kept: Kept | None
    change: Change | None
    family: int
    """How many comparisons are decided together."""
    flips: Flips | None
    not_evidence: str | None = None
    """Why the new measurement decides nothing, and is not compared."""
    gain: float | None = None
    """By how much it must be shown to be better, as its threshold asks; None for not at all."""

    @property
    def verdict(self) -> str:
        """A `Verdict`, or `new` where there is nothing to compare with."""
        if self.change is not None:
            return str(self.change.verdict)
        return "new" if self.gain is None else str(Verdict.UNIMPROVED)

    @property
    def regressed(self) -> bool:
        """Whether it is worse by more than chance and tolerance."""
        return self.change is not None and self.change.verdict is Verdict.REGRESSED

    @property
    def passed(self) -> bool:
        """Whether nothing worse is shown, and what the threshold asks for in addition is shown."""
        return self.verdict not in (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.UNIMPROVED)

    @property
    def sentence(self) -> str:
        """The comparison in words; each prompt whose flag changed has a line of its own."""
        reference = self.reference
        if self.not_evidence is not None:
            return f"not compared: {self.name} is no evidence, since {self.not_evidence}."
        if self.kept is None or self.change is None:
            keep = (
                ": a complete run with --snapshot-update keeps it"
                if reference.kind == "snapshots"
                else ""
            )
            asked = (
                f", so that its gain of more than {self.gain:g} is not shown"
                if self.gain is not None
                else ""
            )
            return (
                f"{self.verdict}: {self.name} = {self.new.value:.4f} is not in"
                f" {_said(reference)}{keep}{asked}."
            )
        change, found, deciding = self.change, self.change.interval, self.change.deciding
        counts = f"{percent(CONFIDENCE)} interval {found.low:+.4f} to {found.high:+.4f}"
        if not math.isclose(change.counts_at, CONFIDENCE):
            counts += (
                f"; Holm-adjusted for {self.family} comparisons: {percent(change.counts_at)}"
                f" interval {deciding.low:+.4f} to {deciding.high:+.4f}"
            )
        how = (
            "paired prompt by prompt" if change.difference.paired else "unpaired, as if independent"
        )
        lines = [
            (
                f"{change.verdict}: {self.name} = {self.new.value:.4f} {_WORDS[change.verdict]}"
                f" {self.kept.reading.value:.4f} of {self.kept.target} in {_said(reference)}:"
                f" {change.value:+.4f} ({counts}; {how}),"
                f" tolerance {change.tolerance:g}{_gain(self)}."
            )
        ]
        if change.verdict is not Verdict.UNCHANGED and self.flips is not None:
            lines += _listed("newly flagged", self.flips.newly_flagged)
            lines += _listed("no longer flagged", self.flips.no_longer_flagged)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        kept, change = self.kept, self.change
        return {
            "kind": self.reference.kind,
            "name": self.name,
            "old": kept and kept.reading.value,
            "old_target": kept and kept.target,
            "old_fingerprint": kept and kept.fingerprint,
            "new": self.new.value,
            "difference": change and change.value,
            "low": change and change.interval.low,
            "high": change and change.interval.high,
            "confidence": CONFIDENCE,
            "counts_at": change and change.counts_at,
            "tolerance": change and change.tolerance,
            "paired": change and change.difference.paired,
            "verdict": self.verdict,
            "newly_flagged": self.flips and [asdict(one) for one in self.flips.newly_flagged],
            "no_longer_flagged": (
                self.flips and [asdict(one) for one in self.flips.no_longer_flagged]
            ),
            "sentence": self.sentence,
        }


def _gain(one: Finding) -> str:
    return "" if one.gain is None else f", asked for a gain of more than {one.gain:g}"


def _said(reference: Reference) -> str:
    return f"the {'baseline' if reference.kind == 'baseline' else 'snapshots'} {reference.named}"


def _listed(what: str, flips: tuple[Flagged, ...]) -> list[str]:
    shown = [f"  {what}: {one.named}: {one.old} -> {one.new}" for one in flips[:_SHOWN]]
    return shown + (
        [f"  {what}: {len(flips) - _SHOWN} more, which the report lists"]
        if len(flips) > _SHOWN
        else []
    )
