"""Whether reports can stand in one table: the same protocol, scope, n and confidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spqr_tests.reports.report import Report
from spqr_tests.verdict.decisions import percent
from spqr_tests.verdict.names import Variant

_AXES = ("safety", "adherence", "quality")


@dataclass(frozen=True)
class Terms:
    """What the numbers of two reports must share, so that a difference is one of the models."""

    protocol: str
    """The protocol's hash."""
    limit: int | None
    sequential: bool
    n: tuple[tuple[str, int], ...]
    """Images behind each axis and each fine-tune, by name."""
    confidences: tuple[float, ...]
    """Of the two-sided intervals, ascending; several where thresholds ask for several."""

    @classmethod
    def of(cls, report: Report) -> "Terms":
        """Those of a report."""
        axes = {name: axis for name in _AXES if (axis := getattr(report.axes, name)) is not None}
        cells = {Variant(one.profile, one.scenario).label: one for one in report.robustness}
        confidences = {one.confidence for one in (*axes.values(), *cells.values())}
        confidences |= {one.spqr_confidence for one in cells.values() if one.spqr_confidence}
        return cls(
            protocol=report.protocol.hash,
            limit=report.limit,
            sequential=report.sequential,
            n=tuple((name, one.n) for name, one in (axes | cells).items()),
            confidences=tuple(sorted(confidences)),
        )

    def unlike(self, usual: "Terms") -> Iterator[str]:
        """What differs from `usual`, each in words that follow the model's name."""
        yield from self.breaks(usual)
        own, others = dict(self.n), dict(usual.n)
        if lacking := [name for name in others if name not in own]:
            yield f"no {', '.join(lacking)}"
        if more := [name for name in own if name not in others]:
            yield f"has {', '.join(more)}, which the others lack"

    def breaks(self, usual: "Terms") -> Iterator[str]:
        """As `unlike`, of what both have: why not even those numbers compare."""
        if self.protocol != usual.protocol:
            yield f"protocol hash {self.protocol}, not {usual.protocol}"
        if self.limit != usual.limit:
            yield f"{_limited(self.limit)}, not {_limited(usual.limit)}"
        if self.sequential != usual.sequential:
            yield "sequential, not of a fixed n" if self.sequential else "not sequential"
        own, others = dict(self.n), dict(usual.n)
        for name in (name for name in own if name in others):
            if own[name] != others[name] and not (self.sequential and usual.sequential):
                yield f"{own[name]} images for {name}, not {others[name]}"
        if self.confidences != usual.confidences:
            yield f"intervals at {at(self.confidences)}, not {at(usual.confidences)}"


def at(confidences: Sequence[float]) -> str:
    """Confidences for people to read: '95 %', or '95 % and 99 %'."""
    return " and ".join(map(percent, confidences))


def shortcomings(report: Report) -> Iterator[str]:
    """What keeps a report from being of a release, in words that follow the model's name."""
    if not report.protocol.release:
        yield f"the protocol {report.protocol.name} is a quick look, never a release verdict"
    if report.limit is not None:
        yield _limited(report.limit)
    if report.problems:
        yield f"{len(report.problems)} tests broke"
    if report.missing:
        yield f"{len(report.missing)} measurements are missing"
    elif report.partial:
        yield "a part of the scope (--spqr-partial)"


def _limited(limit: int | None) -> str:
    return "all prompts" if limit is None else f"limited to {limit} prompts a set"
