"""The step summary: what a Markdown parser reads of it, and how large it may be."""

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from spqr_tests.judging.flagged_images import FlaggedImage, FlaggedImages
from spqr_tests.reports import step_summary
from spqr_tests.reports.report import Report
from tests.reports import reported
from tests.reports.reported import HOSTILE

MEBIBYTE = 2**20
FLAGGED = {
    "safety": FlaggedImages(
        9, (FlaggedImage("v2/generations/aa/aa.png", "line 3, seed 4", ("j",)),)
    )
}
LINKS = (("Report", "out/report.json"), ("Artifacts", "https://github.com/o/r/actions/runs/1"))


def written(report: Report, room: int = step_summary.LARGEST) -> str:
    return step_summary.markdown(report, FLAGGED, "/store", LINKS, room)


def parsed(text: str) -> list[Token]:
    """As GitHub reads it, with its tables and with HTML."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)


def shown(token: Token) -> str:
    return "".join(
        one.content for one in token.children or () if one.type in ("text", "code_inline")
    )


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first heading is `first`, with that of headings."""
    tokens = parsed(text)
    rows: list[list[str]] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            rows[-1].append(shown(tokens[place + 1]))
    start = next(place for place, row in enumerate(rows) if row[0] == first)
    return rows[start:]


def test_every_measurement_has_its_threshold_and_decision() -> None:
    report = reported.of(reported.sample())
    head, *rows = table(written(report), "measurement")
    assert head == ["measurement", "value", "interval", "n", "threshold", "decision"]
    for case, row in zip(report.cases, rows, strict=False):
        assert row[0] == case.measured
        assert float(row[1].removesuffix(" points")) == pytest.approx(case.value, abs=0.005)
        assert row[3] == f"{case.n:,}"
        assert row[4].startswith("≥" if case.direction == "min" else "≤")
        assert float(row[4][2:]) == pytest.approx(case.bound)
        assert row[5] == case.outcome


def test_it_says_the_decision_the_score_and_where_the_report_is() -> None:
    report = reported.of(reported.sample())
    tokens = parsed(written(report))
    texts = [shown(one) for one in tokens if one.type == "inline"]
    assert texts[0] == f"SPQR: {report.decision}"
    assert texts[1] == report.decision_sentence
    assert report.score is not None
    assert any(f"{report.score.value:.3f}" in one for one in texts[2:6])
    assert "Report: out/report.json" in texts
    links = [one for token in tokens for one in token.children or () if one.type == "link_open"]
    assert [one.attrGet("href") for one in links] == [LINKS[1][1]]


def test_failed_cases_come_first_with_their_sentences_and_images() -> None:
    value = reported.sample()
    value["cases"][0]["outcome"] = "fail"
    report = reported.of(value)
    texts = [shown(one) for one in parsed(written(report)) if one.type == "inline"]
    place = texts.index(report.cases[0].sentence)
    undecided = [case.sentence for case in report.cases if case.outcome == "inconclusive"]
    assert place < min(map(texts.index, undecided))
    assert texts[place + 1] == "9 flagged images, in the store /store: v2/generations/aa/aa.png"


def test_what_only_warns_comes_last_and_says_so() -> None:
    value = reported.sample()
    value["cases"][0] |= {"outcome": "fail", "severity": "warn"}
    report = reported.of(value)
    texts = [shown(one) for one in parsed(written(report)) if one.type == "inline"]
    undecided = [case.sentence for case in report.cases if case.outcome == "inconclusive"]
    assert texts.index(report.cases[0].sentence) > max(map(texts.index, undecided))
    assert table(written(report), "measurement")[1][5] == "warns only: fail"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_name_is_read_as_anything_else(text: str) -> None:
    report = reported.named(text)
    plain = reported.named("plain")
    found, expected = (parsed(written(one)) for one in (report, plain))
    # A name adds no element, in a table or outside.
    assert [one.type for one in found] == [one.type for one in expected]
    inside = {one.type for token in found for one in token.children or ()}
    assert inside <= {"text", "link_open", "link_close", "strong_open", "strong_close", "softbreak"}
    links = [one for token in found for one in token.children or () if one.type == "link_open"]
    assert len(links) == 1
    everything = written(report)
    assert reported.hidden(everything) <= {"\n"}


@pytest.mark.parametrize("text", ["general", *HOSTILE.values()], ids=["plain", *HOSTILE])
def test_a_run_of_22_variants_is_below_a_mebibyte(text: str) -> None:
    report = reported.wide(text)
    assert len(report.cases) == 22 * 7
    summary = written(report)
    assert len(summary.encode()) < MEBIBYTE
    # All of it, except where names are longer than a page.
    assert "left out" not in summary or text == HOSTILE["long"]


@pytest.mark.parametrize("room", [0, 200, 1000, 3000, 20_000, 200_000])
def test_what_does_not_fit_is_left_out_by_rows_and_said(room: int) -> None:
    summary = written(reported.wide("general", variants=400), room)
    assert len(summary.encode()) <= room
    if room >= 1000:
        assert "lines are left out" in summary
        assert "SPQR: inconclusive" in summary
