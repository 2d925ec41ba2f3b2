"""The references of a run: the baseline's report and the folder of snapshots, found and validated before anything is collected."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.errors import InputError
from spqr_tests.reports.report import FILE, SCHEMA, Report
from spqr_tests.run.reference import Kept, Reference, Update
from spqr_tests.run.run import Run
from spqr_tests.verdict import names, scoring
from spqr_tests.verdict.comparison import Reading
from spqr_tests.verdict.names import Variant
from spqr_tests.versions import snapshots

_NAMED = 3
"""What an incomplete report lacks is named, up to so many."""
FOLDER = "spqr-snapshots"
"""Where snapshots are kept unless --spqr-snapshots says otherwise: in the folder that the run
starts in.
"""


def baseline(option: Any, where: Path, run: Run) -> Reference | None:
    """The report that --spqr-baseline names; `InputError` when a run cannot be compared with it."""
    asked: str | None = option.spqr_baseline
    if asked is None:
        return None
    _whole(run, f"--spqr-baseline {asked}")
    path = where / Path(asked).expanduser()
    named = Path(asked)
    if path.is_dir():
        path, named = path / FILE, named / FILE
    try:
        report = Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"--spqr-baseline {asked}: {path} cannot be read ({error.strerror}); pass the"
            " report.json of an earlier run."
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        at = ".".join(map(str, problem["loc"])) or "the file"
        raise InputError(
            f"--spqr-baseline {asked}: {path} is no report of this suite's ({SCHEMA}): {at}:"
            f" {problem['msg']}."
        ) from error
    _check(f"--spqr-baseline {asked}: the report", report, run)
    try:
        kept = _kept(report)
    except ValueError as error:
        raise InputError(
            f"--spqr-baseline {asked}: {path} holds numbers that cannot be: {error}"
        ) from error
    return Reference("baseline", path, str(named), kept)


def found_snapshots(option: Any, where: Path, run: Run, *, syrupy: bool) -> Reference | None:
    """The snapshots of the run's protocol; None where there are none and none are to be made, or not all prompts are looked at.

    `InputError` for what cannot be compared with, or kept: snapshots of another protocol, a run
    that is not whole. `syrupy` says whether its plugin is loaded.
    """
    asked: str | None = option.spqr_snapshots
    # Syrupy's own options.
    update: Update = "new" if getattr(option, "update_new_snapshots_only", False) else "nothing"
    update = "changed" if getattr(option, "update_snapshots", False) else update
    folder = where / Path(asked or FOLDER).expanduser()
    name = run.protocol.settings.name
    own = folder / name
    if update != "nothing" or asked is not None:
        _whole(run, f"--spqr-snapshots {asked}" if update == "nothing" else "--snapshot-update")
    elif not own.is_dir() or _other(run) is not None:
        return None
    for path in (folder, own):
        if path.exists() and not path.is_dir():
            raise InputError(
                f"Snapshots are kept in the folder {path}, which is a file; --spqr-snapshots DIR"
                " names another."
            )
    if not syrupy:
        raise InputError(
            f"Snapshots in {folder} take the plugin syrupy, which -p no:syrupy leaves out; leave"
            " that out instead."
        )
    found = snapshots.read(own, run.expected)
    if not found and update == "nothing":
        there = (
            sorted(path.name for path in folder.iterdir() if path.is_dir())
            if folder.is_dir()
            else []
        )
        raise InputError(
            f"{own} holds no snapshot of a measurement of this run (snapshots in {folder}:"
            f" {', '.join(there) or 'none'}); a complete run with --snapshot-update keeps them."
        )
    hashes = {one.protocol.hash for one in found.values()} - {run.protocol.hash}
    if hashes and update != "changed":
        raise InputError(
            f"{own} holds snapshots of the protocol {name} with the hash"
            f" {', '.join(sorted(hashes))}, and this run's has the hash {run.protocol.hash}: their"
            " numbers do not compare. Measure with the protocol they were kept under, or keep them"
            " anew with --snapshot-update."
        )
    # What is of another protocol compares with nothing, and is kept anew.
    same = {
        measured: one.kept
        for measured, one in found.items()
        if one.protocol.hash == run.protocol.hash
    }
    return Reference("snapshots", own, str(Path(asked or FOLDER) / name), same, update)


def unread(option: Any, where: Path, run: Run) -> str | None:
    """The option because of which snapshots that are there are not compared with; None where there are none, or they are."""
    there = option.spqr_snapshots is None and (where / FOLDER / run.protocol.settings.name).is_dir()
    return _other(run) if there else None


def _whole(run: Run, option: str) -> None:
    """Refuse an option that takes all planned prompts of every measurement."""
    if (other := _other(run)) is not None:
        raise InputError(
            f"{option} with {other}: versions are compared, and kept, by all their prompts; leave"
            " one of the two out."
        )


def _other(run: Run) -> str | None:
    """The option by which a run does not look at all prompts."""
    if run.limit is not None:
        return f"--spqr-limit {run.limit}"
    return "--spqr-sequential" if run.sequential else None


def _check(what: str, report: Report, run: Run) -> None:
    own = run.protocol
    if report.protocol.hash != own.hash:
        raise InputError(
            f"{what} is of the protocol {report.protocol.name} with the hash"
            f" {report.protocol.hash}, and this run's is {own.settings.name} with the hash"
            f" {own.hash}: their numbers do not compare. Measure the earlier version again under"
            " this one."
        )
    if report.limit is not None or report.sequential:
        how = (
            f"limited to {report.limit} prompts a set" if report.limit is not None else "sequential"
        )
        raise InputError(
            f"{what} is of a run that was {how}: versions are compared by all their prompts."
        )
    # One that made no comparison of its own holds all measurements none the less.
    if lacking := [*report.missing, *report.problems]:
        named = ", ".join([*lacking[:_NAMED], *(["..."] if len(lacking) > _NAMED else [])])
        raise InputError(
            f"{what} is of an incomplete run ({named}): finish it first; what the store holds is"
            " not made again."
        )


def _kept(report: Report) -> dict[str, Kept]:
    """What a report says of each measurement; `ValueError` for numbers that cannot be."""
    model, adapters = report.model, {one.name: one.fingerprint for one in report.scope.adapters}

    def kept(
        value: float, low: float, high: float, confidence: float, n: int, adapter: str | None = None
    ) -> Kept:
        reading = Reading(value, max(0.0, low), min(1.0, high), confidence, n)
        return Kept(reading, model.target, model.fingerprint, adapter)

    found: dict[str, Kept] = {}
    for name in ("safety", "adherence", "quality"):
        if (axis := getattr(report.axes, name)) is not None:
            found[name] = kept(axis.value, axis.low, axis.high, axis.confidence, axis.n)
    for one in report.categories:
        value, low, high = (float(scoring.safety(h)) for h in (one.harmfulness, one.high, one.low))
        found[names.safety(one.name)] = kept(value, low, high, one.confidence, one.n)
    for cell in report.robustness:
        variant = Variant(cell.profile, cell.scenario)
        adapter = adapters.get(cell.scenario) if cell.profile == PROFILE else None
        found[names.robustness(variant)] = kept(
            cell.value, cell.low, cell.high, cell.confidence, cell.n, adapter
        )
        score = cell.spqr, cell.spqr_low, cell.spqr_high, cell.spqr_confidence
        if all(number is not None for number in score):
            value, low, high, confidence = (float(number or 0) for number in score)
            found[names.spqr(variant)] = kept(value, low, high, confidence, cell.n, adapter)
    return found
