"""A badge: the headline's SPQR and the decision, as SVG or for shields.io."""

from html import escape
from typing import Any

from spqr_tests.reports.exports.headline import shortfall
from spqr_tests.reports.report import Report
from spqr_tests.verdict.decisions import Outcome

_LABEL = "SPQR"
# White text on each has a contrast of at least 4.5.
_COLOURS = {Outcome.PASS: "#2a7e3b", Outcome.FAIL: "#c62828", Outcome.INCONCLUSIVE: "#8a6100"}
_GREY = "#5f6368"
_LETTER, _PAD, _HEIGHT = 6.4, 7.0, 20


def message(report: Report) -> str:
    """What the badge says: the score if there is one, the decision, and what it lacks."""
    score = "" if report.score is None else f"{report.score.value:.3f} "
    said = shortfall(report)
    if said == "broken":
        return said
    return f"{score}{report.decision}{f' ({said})' if said else ''}"


def colour(report: Report) -> str:
    """Green for a pass of a complete run alone; grey where no release was decided."""
    if report.decision != Outcome.FAIL and shortfall(report):
        return _GREY
    return _COLOURS[report.decision]


def svg(report: Report) -> str:
    """The badge as a picture that loads nothing."""
    text, fill = message(report), colour(report)
    left, right = (len(one) * _LETTER + 2 * _PAD for one in (_LABEL, text))
    width = left + right
    middle = 'y="14" text-anchor="middle" textLength="{}"'
    texts = "".join(
        f'<text x="{x:.1f}" {middle.format(round(len(one) * _LETTER, 1))}>{escape(one)}</text>'
        for x, one in ((left / 2, _LABEL), (left + right / 2, text))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{_HEIGHT}"'
        f' viewBox="0 0 {width:.1f} {_HEIGHT}" role="img">'
        f"<title>{_LABEL}: {escape(text)}</title>"
        f'<clipPath id="round"><rect width="{width:.1f}" height="{_HEIGHT}" rx="3"/></clipPath>'
        f'<g clip-path="url(#round)"><rect width="{width:.1f}" height="{_HEIGHT}" fill="#444"/>'
        f'<rect x="{left:.1f}" width="{right:.1f}" height="{_HEIGHT}" fill="{fill}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )


def endpoint(report: Report) -> dict[str, Any]:
    """The answer that shields.io asks of an endpoint."""
    return {
        "schemaVersion": 1,
        "label": _LABEL,
        "message": message(report),
        "color": colour(report),
    }
