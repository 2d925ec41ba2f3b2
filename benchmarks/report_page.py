"""The page on the report and plan.json: samples of a real run, with each field explained in place.

    python -m benchmarks.report_page

writes docs/report.md from docs/sample-report.json, docs/sample-image.json, docs/sample-plan.json
and what schemas say of their fields. `--measure` makes the samples anew: `embedded:esd-u` against
the report of `embedded:uce`, about six minutes on two cores where the store holds nothing.
"""

import argparse
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from pydantic import BaseModel

from benchmarks import field_texts, suite
from benchmarks.numbers import DOCS
from spqr_tests.planning.plan import Plan
from spqr_tests.reports import images
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.report import Report

REPORT, PLAN, IMAGE = "sample-report.json", "sample-plan.json", "sample-image.json"
_WIDTH = 110
_INDENT = "  "
_LONG = 3
"""Lists of plain values are shown up to this length."""


def page(report: Report, plan: Plan, image: ImageRow) -> str:
    """The page of docs/."""
    text = Path(__file__).with_name("report.md.template").read_text(encoding="utf-8")
    return Template(text).substitute(
        report=annotated(report), plan=annotated(plan), image=annotated(image)
    )


def annotated(model: BaseModel) -> str:
    """The JSON of a model with the description of each field in a comment above it."""
    return "\n".join(_object(model, "", ""))


def _object(model: BaseModel, indent: str, end: str) -> Iterator[str]:
    yield f"{indent}{{" if not indent else "{"
    inner = indent + _INDENT
    fields = type(model).model_fields
    for place, (name, field) in enumerate(fields.items(), 1):
        yield from _comment(field_texts.text(type(model), name), inner)
        comma = "," if place < len(fields) else ""
        key = f"{inner}{json.dumps(field.alias or name)}: "
        first, *rest = _value(getattr(model, name), inner, comma)
        yield key + first
        yield from rest
    yield f"{indent}}}{end}"


def _value(value: Any, indent: str, end: str) -> Iterator[str]:
    inner = indent + _INDENT
    match value:
        case BaseModel():
            yield from _object(value, indent, end)
        case [BaseModel() as first, *others]:
            yield "["
            head, *rest = _object(first, inner, "," if others else "")
            yield inner + head
            yield from rest
            yield from _more(len(others), inner)
            yield f"{indent}]{end}"
        case {**table} if all(isinstance(one, BaseModel) for one in table.values()) and table:
            key, row = next((key, row) for key, row in table.items() if isinstance(row, BaseModel))
            yield "{"
            head, *rest = _object(row, inner, "," if len(table) > 1 else "")
            yield f"{inner}{json.dumps(key)}: {head}"
            yield from rest
            yield from _more(len(table) - 1, inner)
            yield f"{indent}}}{end}"
        case _:
            yield from _plain(value, indent, end)


def _plain(value: Any, indent: str, end: str) -> Iterator[str]:
    """A value without a schema: tables key by key, of a long list its first entry."""
    inner = indent + _INDENT
    if isinstance(value, Mapping) and value:
        yield "{"
        for place, (key, one) in enumerate(value.items(), 1):
            first, *rest = _plain(one, inner, "," if place < len(value) else "")
            yield f"{inner}{json.dumps(key)}: {first}"
            yield from rest
        yield f"{indent}}}{end}"
    elif isinstance(value, list | tuple) and (
        len(value) > _LONG or (len(value) > 1 and isinstance(value[0], Mapping))
    ):
        yield "["
        first, *rest = _plain(value[0], inner, ",")
        yield inner + first
        yield from rest
        yield from _more(len(value) - 1, inner)
        yield f"{indent}]{end}"
    else:
        yield f"{json.dumps(value, ensure_ascii=False)}{end}"


def _more(count: int, indent: str) -> Iterator[str]:
    if count:
        yield f"{indent}// {count} more"


def _comment(text: str, indent: str) -> Iterator[str]:
    width = _WIDTH - len(indent) - 3
    yield from (f"{indent}// {line}" for line in textwrap.wrap(" ".join(text.split()), width))


def read() -> tuple[Report, Plan, ImageRow]:
    """The samples that are kept."""
    report = Report.model_validate_json((DOCS / REPORT).read_bytes())
    plan = Plan.model_validate_json((DOCS / PLAN).read_bytes())
    return report, plan, ImageRow.model_validate_json((DOCS / IMAGE).read_bytes())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="make the samples anew")
    parser.add_argument(
        "--store", type=Path, default=Path("spqr-samples"), help="where evidence and runs are kept"
    )
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.store)
    (DOCS / "report.md").write_text(page(*read()), encoding="utf-8")


def keep_image(run: Path) -> None:
    """Keep the first flagged row of a run's images.jsonl as the sample."""
    rows = images.read((run / images.FILE).read_bytes())
    flagged = next(row for row in rows if row.flagged)
    text = json.dumps(flagged.model_dump(by_alias=True), indent=2, ensure_ascii=False)
    (DOCS / IMAGE).write_text(f"{text}\n", encoding="utf-8")


def measure(folder: Path) -> None:
    """Write the samples: a plan on an empty store, then the report that it was a plan of."""
    store = folder / "store"
    suite.plan("embedded:esd-u", "embedded", folder / "empty", folder / "plan")
    (DOCS / PLAN).write_bytes((folder / "plan" / "plan.json").read_bytes())
    suite.measure("embedded:uce", "embedded", store, folder / "uce")
    suite.measure(
        "embedded:esd-u", "embedded", store, folder / "esd-u", "--spqr-baseline", "../uce"
    )
    text = (folder / "esd-u" / "report.json").read_text(encoding="utf-8")
    keep_image(folder / "esd-u")
    # Images of both versions are named by their paths, which are this machine's.
    (DOCS / REPORT).write_text(text.replace(str(store.absolute()), "STORE"), encoding="utf-8")


if __name__ == "__main__":
    main()
