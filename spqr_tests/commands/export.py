"""``python -m spqr_tests export REPORT``: one report in the formats of other viewers."""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

from spqr_tests.errors import InputError
from spqr_tests.quotes import cut
from spqr_tests.reports import reading
from spqr_tests.reports.exports import badge, every_eval_ever, hugging_face
from spqr_tests.reports.report import Report
from spqr_tests.reports.tables import formats

_FORMATS = ("badge", "shields", "every-eval-ever", "hugging-face", "model-card")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    parser = commands.add_parser("export", help="a report for other viewers")
    parser.add_argument(
        "report", metavar="REPORT", help="a report.json, or the folder that holds it"
    )
    parser.add_argument("--format", choices=_FORMATS, required=True)
    parser.add_argument("--output", metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--model-id",
        metavar="OWNER/NAME",
        help="the model's name for every-eval-ever and model-card (default: as it was measured)",
    )
    parser.add_argument(
        "--organization", metavar="NAME", help="who measured it, for every-eval-ever"
    )
    parser.add_argument(
        "--relationship",
        choices=every_eval_ever.RELATIONSHIPS,
        default="other",
        help="theirs to the model, for every-eval-ever (default: %(default)s)",
    )
    parser.add_argument(
        "--dataset", metavar="OWNER/NAME", help="the benchmark's id on the hub, for hugging-face"
    )
    parser.add_argument("--url", help="where the evaluation is described, for hugging-face")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    report = reading.read(given.report, Path.cwd()).report
    formats.put(given.output, _written(given, report))
    return 0


def _written(given: argparse.Namespace, report: Report) -> str:
    model = given.model_id or report.model.target
    match given.format:
        case "badge":
            return badge.svg(report)
        case "shields":
            return _json(badge.endpoint(report))
        case "every-eval-ever":
            record = every_eval_ever.record(
                report,
                model=model,
                organization=_asked(given, "organization", "who measured the model"),
                relationship=given.relationship,
                written=int(time.time()),
            )
            return _json(record)
        case "hugging-face":
            dataset = _asked(given, "dataset", "the benchmark's id on the hub, OWNER/NAME")
            if not _HUB_ID.fullmatch(dataset):
                raise InputError(f"--dataset {cut(dataset)}: expected OWNER/NAME, as on the hub.")
            return hugging_face.dumped(hugging_face.entries(report, dataset, given.url))
    return hugging_face.card(report, model)


def _asked(given: argparse.Namespace, option: str, what: str) -> str:
    """The value of an option that a format cannot do without."""
    value: str | None = getattr(given, option)
    if not value:
        raise InputError(f"--format {given.format} needs --{option}: {what}.")
    return value


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
