"""Reports as tidy tables: a row per measurement, or a row per judged image."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spqr_tests.errors import InputError
from spqr_tests.reports import images, measurements, reading
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.measurements import Measured
from spqr_tests.reports.reading import Found
from spqr_tests.reports.report import Report
from spqr_tests.reports.rows import Case
from spqr_tests.reports.tables.page import Record

_RUN = {
    "report": str,
    "model": str,
    "fingerprint": str,
    "backbone": str,
    "suite": str,
    "protocol": str,
    "protocol_hash": str,
    "release": bool,
    "complete": bool,
    "limit": int,
    "run_decision": str,
}
MEASUREMENTS: Mapping[str, type] = _RUN | {
    "measurement": str,
    "axis": str,
    "profile": str,
    "scenario": str,
    "category": str,
    "value": float,
    "low": float,
    "high": float,
    "confidence": float,
    "n": int,
    "not_evidence": str,
    "drift": float,
    "drift_low": float,
    "drift_high": float,
    "harmfulness_before": float,
    "harmfulness_after": float,
    "outcome": str,
    "decided_by": str,
    "threshold_of": str,
    "unit": str,
    "direction": str,
    "bound": float,
    "decided_value": float,
    "decided_low": float,
    "decided_high": float,
    "prompts": int,
    "trainings": int,
    "planned": int,
}
"""The columns of a row per measurement, with their types; each may be empty."""
ROWS: Mapping[str, type] = {
    "report": str,
    "model": str,
    "fingerprint": str,
    "protocol_hash": str,
    "set": str,
    "row": int,
    "source": str,
    "prompt": str,
    "prompt_sha256": str,
    "seed": int,
    "categories": str,
    "language": str,
    "profile": str,
    "scenario": str,
    "domain": str,
    "training": int,
    "steps": int,
    "flagged": bool,
    "flagged_by": str,
    "judges": str,
    "image": str,
    "pixels_sha256": str,
}
"""The columns of a row per image; `categories` and `flagged_by` are joined by `|`."""


def of_measurements(found: Sequence[Found]) -> list[Record]:
    """A row per measurement of every report, and per decision of a test of the user's own.

    `value` and its bounds are in [0, 1], drift in points and harmfulness in percent; what a
    threshold bounds is in `decided_value`, in the case's own unit.
    """
    rows: list[Record] = []
    for one in found:
        run = _run(one)
        rows += [run | _measured(each) for each in measurements.listed(one.report)]
        rows += [run | _decided(case) for case in measurements.others(one.report)]
    return rows


def of_report(report: Report) -> Any:
    """The measurements of one report as a pandas DataFrame; `InputError` without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("A data frame needs pandas: pip install 'spqr-tests[frame]'.") from error
    rows = of_measurements([Found(report, Path(), report.model.target)])
    return pd.DataFrame(rows, columns=list(MEASUREMENTS))


def of_images(found: Sequence[Found]) -> list[Record]:
    """A row per image of the images.jsonl next to each report; `InputError` where there is none."""
    rows: list[Record] = []
    for one in found:
        kept = reading.image_rows(one)
        if kept is None:
            raise InputError(
                f"--images: {one.path} has no {images.FILE} next to it; a run with --spqr-report"
                " writes both."
            )
        rows += [_identity(one) | _image(row) for row in kept]
    return rows


def _identity(one: Found) -> dict[str, Any]:
    model = one.report.model
    return {
        "report": one.named,
        "model": model.target,
        "fingerprint": model.fingerprint,
        "protocol_hash": one.report.protocol.hash,
    }


def _run(one: Found) -> dict[str, Any]:
    report = one.report
    return _identity(one) | {
        "backbone": report.model.backbone,
        "suite": report.suite,
        "protocol": report.protocol.name,
        "release": report.protocol.release,
        "complete": report.complete,
        "limit": report.limit,
        "run_decision": str(report.decision),
    }


def _measured(one: Measured) -> dict[str, Any]:
    variant, cell = one.variant, one.cell
    row: dict[str, Any] = {
        "measurement": one.name,
        "axis": one.parts.axis,
        "profile": None if variant is None else variant.profile,
        "scenario": None if variant is None else variant.scenario,
        "category": one.category,
        "value": one.estimate.value,
        "low": one.estimate.low,
        "high": one.estimate.high,
        "confidence": one.confidence,
        "n": one.n,
        "not_evidence": one.not_evidence,
    }
    if cell is not None:
        names = ("drift", "drift_low", "drift_high", "harmfulness_before", "harmfulness_after")
        row |= {name: getattr(cell, name) for name in names}
    return row | ({} if one.case is None else _case(one.case))


def _decided(case: Case) -> dict[str, Any]:
    """The row of a decision on what the suite does not measure itself."""
    return {"measurement": case.name, "confidence": case.confidence, "n": case.n} | _case(case)


def _case(case: Case) -> dict[str, Any]:
    return {
        "outcome": str(case.outcome),
        "decided_by": case.decided_by,
        "threshold_of": case.measured,
        "unit": case.unit,
        "direction": case.direction,
        "bound": case.bound,
        "decided_value": case.value,
        "decided_low": case.low,
        "decided_high": case.high,
        "prompts": case.prompts,
        "trainings": case.trainings,
        "planned": case.planned,
    }


def _image(row: ImageRow) -> dict[str, Any]:
    judges = {name: said.model_dump() for name, said in row.judges.items()}
    return row.model_dump(include=set(ROWS) - {"categories", "judges"}) | {
        "categories": "|".join(row.categories),
        "flagged_by": "|".join(name for name, said in row.judges.items() if said.flagged),
        "judges": json.dumps(judges, sort_keys=True),
    }


def json_lines(rows: Sequence[Record], columns: Mapping[str, type]) -> str:
    """The rows as JSON lines, each with every column."""
    return "".join(
        json.dumps({name: row.get(name) for name in columns}, allow_nan=False) + "\n"
        for row in rows
    )


def parquet(rows: Sequence[Record], columns: Mapping[str, type]) -> bytes:
    """The rows as a Parquet file; `InputError` where pyarrow is not installed."""
    try:
        import pyarrow as pa
        from pyarrow import parquet as writer
    except ImportError as error:
        raise InputError(
            "--format parquet needs pyarrow: pip install 'spqr-tests[frame]'. CSV and jsonl do"
            " without."
        ) from error
    kinds = {str: pa.string(), float: pa.float64(), int: pa.int64()}
    kinds[bool] = pa.bool_()
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    arrays = {name: [row.get(name) for row in rows] for name in columns}
    stream = io.BytesIO()
    writer.write_table(pa.table(arrays, schema=schema), stream)
    return stream.getvalue()
