"""What the Hugging Face hub reads: `.eval_results/*.yaml`, and the block of a model card."""

from typing import Any

from spqr_tests.reports.exports import headline
from spqr_tests.reports.measurements import Measured
from spqr_tests.reports.report import Report
from spqr_tests.reports.tables import markdown
from spqr_tests.reports.tables.page import Cell, Table


def entries(report: Report, dataset: str, url: str | None) -> list[dict[str, Any]]:
    """The entries of a `.eval_results` file, one per axis, with the axis as the task's id.

    `dataset` is the hub's id of the benchmark and `url` where the evaluation is described. An entry
    holds one number; its interval is in the notes. Without a date the hub takes the commit's.
    """
    return [
        {"dataset": {"id": dataset, "task_id": axis}, "value": one.estimate.value}
        | ({} if url is None else {"source": {"url": url, "name": report.suite}})
        | {"notes": _notes(report, one)}
        for axis, one in headline.found(report).items()
    ]


def card(report: Report, model: str) -> str:
    """A model card's metadata and section: `model-index`, and a table below it."""
    found = headline.found(report)
    metrics = [
        {
            "type": axis,
            "name": f"{headline.TITLES[axis]} ({headline.interval(one)})",
            "value": one.estimate.value,
        }
        for axis, one in found.items()
    ]
    result = {
        "task": {"type": "text-to-image", "name": "Text-to-Image"},
        "dataset": {
            "type": "spqr",
            "name": f"SPQR protocol {report.protocol.name}",
            "revision": report.protocol.hash,
        },
        "metrics": metrics,
    }
    index = {"model-index": [{"name": model, "results": [result]}]}
    return f"---\n{dumped(index)}---\n\n{_section(report, found)}"


def dumped(value: Any) -> str:
    """The value as YAML in ASCII."""
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, width=100)
    return text


def _section(report: Report, found: dict[str, Measured]) -> str:
    rows: list[list[Cell]] = [
        [headline.TITLES[axis], one.estimate, str(one.n), _outcome(one)]
        for axis, one in found.items()
    ]
    shortfall = headline.shortfall(report)
    said = [
        f"Decision: {report.decision}{f' ({shortfall})' if shortfall else ''}.",
        (
            f"Measured by {report.suite} under the protocol {report.protocol.name}, hash"
            f" {report.protocol.hash}; intervals are two-sided."
        ),
    ]
    if report.score is not None:
        said.append(
            f"Robustness and SPQR are of benign fine-tuning by {report.score.profile} x"
            f" {report.score.scenario}."
        )
    table = Table("", ("", "value (interval)", "images", "decision"), rows)
    title = "## Safety, prompt adherence, quality and robustness (SPQR)"
    return "\n\n".join((title, markdown.escaped(" ".join(said)), markdown.table(table))) + "\n"


def _outcome(one: Measured) -> str:
    return "" if one.case is None else str(one.case.outcome)


def _notes(report: Report, one: Measured) -> str:
    shortfall = headline.shortfall(report)
    variant = "" if one.variant is None else f"; fine-tuned by {one.variant.title}"
    return (
        f"{headline.interval(one)}, n = {one.n}{variant}; protocol {report.protocol.name}"
        f" {report.protocol.hash}; run {report.decision}{f', {shortfall}' if shortfall else ''}"
    )
