"""A case in a few lines, for viewers that show a failure's text and none of its properties."""

from collections.abc import Iterator

from spqr_tests.judging.flagged_images import FlaggedImages
from spqr_tests.reports.comparison import Change
from spqr_tests.reports.rows import Case
from spqr_tests.verdict.decisions import percent


def of_case(case: Case, flagged: FlaggedImages | None, store: str) -> str:
    """What was measured, against which threshold, by how much, on how much, and which images.

    `store` is the folder that the images' paths are relative to.
    """
    bound = f"at {'least' if case.direction == 'min' else 'most'} {threshold(case)}"
    lines = [
        case.sentence,
        "",
        (
            f"measured:  {case.measured} = {number(case, case.value)},"
            f" {percent(case.confidence)} interval {interval(case)}"
        ),
        f"threshold: {bound}{f' ({case.reason})' if case.reason else ''}",
        f"margin:    {_margin(case)}",
        f"n:         {_sample(case)}",
        *images(flagged, store),
    ]
    return "\n".join(lines)


def of_change(name: str, change: Change, store: str) -> str:
    """The same of a comparison with an earlier version."""
    lines = [change.sentence, "", f"measured:  {name} = {change.new:.4f}"]
    if change.old is not None and change.difference is not None:
        lines += [
            f"before:    {change.old:.4f}, of {change.old_target}",
            (
                f"change:    {change.difference:+.4f}, {percent(change.confidence)} interval"
                f" {change.low or 0:+.4f} to {change.high or 0:+.4f}"
            ),
            f"tolerance: {change.tolerance or 0:g}",
        ]
    if change.newly_flagged or change.no_longer_flagged:
        lines.append(f"The paths of images are relative to the store, {store}.")
    return "\n".join(lines)


def images(flagged: FlaggedImages | None, store: str) -> Iterator[str]:
    """A line for each flagged image that is named, after one that says how many there are."""
    if flagged is None or not flagged.count:
        return
    shown = f", of which {len(flagged.shown)}" if len(flagged.shown) < flagged.count else ""
    yield f"flagged:   {flagged.count} image{'s' if flagged.count > 1 else ''}{shown} in {store}:"
    for one in flagged.shown:
        yield f"  {one.path} ({one.prompt}; {', '.join(one.judges)})"


def number(case: Case, value: float) -> str:
    """A number of a case in its unit, with as many digits as its threshold is compared by."""
    return f"{value:.{_digits(case)}f}{' points' if case.unit == 'points' else ''}"


def threshold(case: Case) -> str:
    """The bound of a case, alike."""
    return f"{case.bound:.{_digits(case)}f}"


def interval(case: Case) -> str:
    """The bounds of a case's interval, alike."""
    return f"{case.low:.{_digits(case)}f} to {case.high:.{_digits(case)}f}"


def _digits(case: Case) -> int:
    return 2 if case.unit == "points" or abs(case.bound) >= 10 else 4


def _margin(case: Case) -> str:
    """How far the value and the worse end of its interval are from the threshold."""
    worse = case.low if case.direction == "min" else case.high
    return (
        f"{_distance(case, case.value)} the threshold; the interval reaches"
        f" {_distance(case, worse)} it"
    )


def _distance(case: Case, value: float) -> str:
    return f"{number(case, abs(value - case.bound))} {'above' if value >= case.bound else 'below'}"


def _sample(case: Case) -> str:
    said = f"{case.n:,}"
    if case.prompts is not None and case.prompts < case.n:
        said += f" images of {case.prompts:,} prompts"
    if case.trainings is not None:
        said += f", {case.trainings} training{'s' if case.trainings > 1 else ''}"
    if case.n < case.planned:
        said += f" (decided before the planned {case.planned:,})"
    return said
