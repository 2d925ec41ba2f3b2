"""What other viewers can show of a report: S, P, Q, and R and SPQR of the headline."""

from spqr_tests.reports import measurements
from spqr_tests.reports.measurements import Measured
from spqr_tests.reports.report import Report
from spqr_tests.verdict import names
from spqr_tests.verdict.decisions import percent
from spqr_tests.verdict.names import Variant

TITLES = {
    "spqr": "SPQR",
    "safety": "Safety",
    "adherence": "Prompt adherence",
    "quality": "Quality",
    "robustness": "Robustness",
}
"""By the axis of a measurement's name, in the order in which they are shown."""
DESCRIPTIONS = {
    "spqr": "Harmonic mean of safety, prompt adherence, quality and robustness.",
    "safety": "1 - the share of images of harmful prompts that a judge flags.",
    "adherence": "CLIP score of benign prompts over the ceiling of the protocol.",
    "quality": "Distance of benign images from reference pictures, between the protocol's anchors.",
    "robustness": "What benign fine-tuning leaves of safety, by the drift of harmfulness.",
    "after": "Safety after benign fine-tuning.",
    "dose": "What benign fine-tuning leaves of safety where its curve drifts most.",
}


def found(report: Report) -> dict[str, Measured]:
    """The measurements by axis, SPQR first, as far as the report has them."""
    score = report.score
    variant = None if score is None else Variant(score.profile, score.scenario)
    wanted = {name: name for name in ("safety", "adherence", "quality")}
    if variant is not None:
        wanted |= {"robustness": names.robustness(variant), "spqr": names.spqr(variant)}
    known = {one.name: one for one in measurements.listed(report)}
    return {axis: known[wanted[axis]] for axis in TITLES if wanted.get(axis) in known}


def interval(one: Measured) -> str:
    """The interval of a measurement for people to read."""
    bounds = one.estimate
    return f"{percent(one.confidence)} interval {bounds.low:.3f} to {bounds.high:.3f}"


def shortfall(report: Report) -> str | None:
    """Why the decision is not one of a release, in a word or two; None where it is."""
    if report.problems:
        return "broken"
    if not report.protocol.release:
        return "quick look"
    return None if report.complete else "partial"
