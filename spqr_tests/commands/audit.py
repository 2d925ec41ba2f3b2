"""``python -m spqr_tests audit REPORT``: the judges checked by eye."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from spqr_tests import files
from spqr_tests.commands.console import Lines, row
from spqr_tests.errors import InputError
from spqr_tests.reports import audit, reading
from spqr_tests.reports.audit import Labels, Sample
from spqr_tests.reports.html import audit as audit_page
from spqr_tests.reports.reading import Found
from spqr_tests.reports.tables.text import short
from spqr_tests.run import places
from spqr_tests.store import whole_files
from spqr_tests.verdict.audit import Audit, Share, Stratum, effective_n

_N, _SEED = 200, 0
_DIGITS = 4
"""Of the shares for the protocol."""


def add(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    parser = commands.add_parser(
        "audit", help="a sample of images to label by eye, and how often the judges are right"
    )
    parser.add_argument(
        "report", metavar="REPORT", help="a report.json, or the folder that holds it"
    )
    parser.add_argument("--output", metavar="FILE", help="write the page to label images on")
    parser.add_argument(
        "--labels", metavar="FILE", help="read the labels that the page saved: what they say"
    )
    parser.add_argument("--n", type=int, help=f"images to label (default: {_N})")
    parser.add_argument("--seed", type=int, help=f"by which they are drawn (default: {_SEED})")
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="where the images are (default: $SPQR_STORE, else the user's cache)",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    if (given.output is None) == (given.labels is None):
        raise InputError(
            "audit: pass --output FILE for a page to label images on, or --labels FILE, what such a"
            " page saved, for what the labels say."
        )
    found = reading.read(given.report, Path.cwd())
    if given.labels is not None:
        if given.n is not None or given.seed is not None:
            raise InputError(
                "audit: the file of --labels says its own --n and --seed; leave both out."
            )
        return _estimate(found, given.labels)
    return _page(
        found,
        given,
        _N if given.n is None else given.n,
        _SEED if given.seed is None else given.seed,
    )


def _page(found: Found, given: argparse.Namespace, n: int, seed: int) -> int:
    here = Path.cwd()
    sample = audit.draw(found, n, seed)
    store = places.store(here, given.store, "--store")
    output = files.place(given.output, here, "--output")
    made = audit_page.of_sample(found.report, sample, store)
    try:
        whole_files.put(output, made)
    except OSError as error:
        raise InputError(
            f"--output {output}: the file cannot be written ({error.strerror})."
        ) from error
    console = Lines()
    console.say(f"{output}: {len(made.encode()) / 2**20:.1f} MiB, audit {sample.id}")
    table = _table("flagged by", "images", "to label")
    for one in sample.strata():
        row(table, audit.named(one.flagged_by), f"{one.images:,}", f"{one.drawn:,}")
    console.show(table)
    if len(sample.order) < len(sample.rows):
        console.say(
            f"Some of the images are the same: {len(sample.order)} different ones are in the page."
        )
    return 0


def _estimate(found: Found, given: str) -> int:
    stated, labels = audit.read_labels(given, Path.cwd())
    sample = audit.sample_of(found, stated, given)
    strata = audit.counted(sample, labels, given)
    made = Audit(strata, np.random.default_rng(0))
    console = Lines()
    console.say(
        f"audit {sample.id} of {short(found.report.model.target)}, labels {labels.sha256[:12]}"
    )
    console.show(_strata(strata))
    console.say()
    sensitivity, specificity = made.sensitivity(), made.specificity()
    console.show(_accuracy(made, sample))
    harmful = made.prevalence()
    console.say(f"of all images, harmful: {_spelt(harmful)}; in brackets: 95 % intervals")
    console.say("kappa: Cohen's, of the judge and the labels: 1 is full agreement, 0 chance")
    if unsure := sum(one.unsure for one in strata):
        console.say(
            f"unsure or skipped: {unsure}, left out of the estimates; the intervals hold whichever"
            " they are. Any of the judges, with all of these harmful:"
            f" sensitivity {_share(sensitivity.if_harmful)}, specificity"
            f" {_share(specificity.if_harmful)}; harmless: {_share(sensitivity.if_harmless)},"
            f" {_share(specificity.if_harmless)}."
        )
    console.say()
    lines = _correction(sensitivity, specificity, sample, labels, sum(map(_sure, strata)))
    for one in lines:
        console.say(one)
    return 0 if len(lines) > 1 else 1


def _strata(strata: list[Stratum]) -> Table:
    table = _table("flagged by", "images", "harmful", "harmless", "unsure")
    for one in strata:
        row(
            table,
            audit.named(sorted(one.flagged_by)),
            *(f"{count:,}" for count in (one.size, one.harmful, one.harmless, one.unsure)),
        )
    return table


def _accuracy(made: Audit, sample: Sample) -> Table:
    table = _table("judge", "sensitivity", "specificity", "kappa")
    for judge in (None, *sample.judges):
        if judge is not None and len(sample.judges) == 1:
            break
        name = judge or ("any of them" if len(sample.judges) > 1 else sample.judges[0])
        kappa = made.kappa(judge)
        row(
            table,
            name,
            _spelt(made.sensitivity(judge)),
            _spelt(made.specificity(judge)),
            "unknown" if kappa is None else f"{kappa:.2f}",
        )
    return table


def _correction(
    sensitivity: Share, specificity: Share, sample: Sample, labels: Labels, labelled: int
) -> list[str]:
    """The protocol's table, or one line that says why there is none."""
    lines = ["[correction]"]
    for name, share in (("sensitivity", sensitivity), ("specificity", specificity)):
        value = None if share.value is None else round(share.value, _DIGITS)
        n = None if value is None else effective_n(value, share.interval)
        if value is None or value <= 0.5 or n is None:
            said = "unknown" if value is None else f"{value:.2f}"
            why = (
                f"No [correction] for the protocol: the {name} is {said} (95 % interval"
                f" {share.interval.low:.2f} to {share.interval.high:.2f}), and one that corrects"
                " must be above 0.5 and known better than that. Label more images (--n), or"
                " choose other judges."
            )
            return [why]
        lines += [f"{name} = {value}", f"{name}_n = {n}"]
    source = (
        f"{labelled} images labelled by eye, spqr-tests audit {sample.id}, labels file SHA-256"
        f" {labels.sha256}"
    )
    return [*lines, f"source = {json.dumps(source)}"]


def _sure(stratum: Stratum) -> int:
    return stratum.harmful + stratum.harmless


def _spelt(share: Share) -> str:
    return f"{_share(share.value)} ({share.interval.low:.3f} to {share.interval.high:.3f})"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
