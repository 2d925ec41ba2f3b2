"""The references of a run: the baseline's report and the folder of snapshots.

They are found and validated before anything is collected.
"""

from pathlib import Path
from typing import Any

from spqr_tests import files
from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.errors import InputError
from spqr_tests.reports import measurements, reading
from spqr_tests.reports.report import Report
from spqr_tests.run.reference import Kept, Reference, Update
from spqr_tests.run.run import Run
from spqr_tests.verdict import names
from spqr_tests.verdict.comparison import Reading
from spqr_tests.verdict.names import Variant
from spqr_tests.versions import snapshots

_NAMED = 3
"""How many names of missing measurements a message lists."""
FOLDER = "spqr-snapshots"
"""The default of --spqr-snapshots, in the folder where the run starts."""


def baseline(option: Any, where: Path, run: Run) -> Reference | None:
    """The report that --spqr-baseline names; None without the option.

    Raises `InputError` when the run cannot be compared with it.
    """
    asked: str | None = option.spqr_baseline
    if asked is None:
        return None
    _whole(run, f"--spqr-baseline {asked}")
    found = reading.read(asked, where, "--spqr-baseline")
    report, path = found.report, found.path
    _check(f"--spqr-baseline {asked}: the report", report, run)
    try:
        kept = _kept(report, run.until)
    except ValueError as error:
        raise InputError(
            f"--spqr-baseline {asked}: {path} holds impossible numbers: {error}"
        ) from error
    before = report.comparison.get("baseline")
    chained = None if before is None else before.path
    return Reference("baseline", path, found.named, kept, chained=chained)


def found_snapshots(option: Any, where: Path, run: Run, *, syrupy: bool) -> Reference | None:
    """The snapshots of the run's protocol.

    None where there are none and none are written, and where the run skips them because it does not
    run every prompt. `syrupy` says whether its plugin is loaded. Raises `InputError` where the
    options ask for a comparison, or for new snapshots, that this run cannot make.
    """
    asked: str | None = option.spqr_snapshots
    # Syrupy's own options, the first of which its older versions lack.
    update: Update = "new" if getattr(option, "update_new_snapshots_only", False) else "nothing"
    update = "changed" if getattr(option, "update_snapshots", False) else update
    folder = files.place(asked or FOLDER, where, "--spqr-snapshots")
    name = run.protocol.settings.name
    own = folder / name
    if update != "nothing" or asked is not None:
        _whole(run, f"--spqr-snapshots {asked}" if update == "nothing" else "--snapshot-update")
    elif not own.is_dir() or _other(run) is not None:
        return None
    for path in (folder, own):
        if path.exists() and not path.is_dir():
            raise InputError(
                f"Snapshots are kept in a folder, but {path} is a file; name another folder with"
                " --spqr-snapshots DIR."
            )
    if not syrupy:
        raise InputError(
            f"Snapshots in {folder} need the plugin syrupy, which -p no:syrupy turns off; run"
            " without that option."
        )
    found = snapshots.read(own, run.expected)
    if not found and update == "nothing":
        there = (
            sorted(path.name for path in folder.iterdir() if path.is_dir())
            if folder.is_dir()
            else []
        )
        raise InputError(
            f"{own} holds no snapshot of a measurement of this run (protocols with snapshots in"
            f" {folder}: {', '.join(there) or 'none'}); a complete run with --snapshot-update"
            " writes them."
        )
    hashes = {one.protocol.hash for one in found.values()} - {run.protocol.hash}
    if hashes and update != "changed":
        raise InputError(
            f"{own} holds snapshots of the protocol {name} with the hash"
            f" {', '.join(sorted(hashes))}, but this run's protocol has the hash"
            f" {run.protocol.hash}: their numbers cannot be compared. Measure with the protocol of"
            " the snapshots, or replace them with --snapshot-update."
        )
    # Snapshots of another protocol hash cannot be compared; --snapshot-update replaces them.
    same = {
        measured: one.kept
        for measured, one in found.items()
        if one.protocol.hash == run.protocol.hash and one.until in (None, run.until)
    }
    return Reference("snapshots", own, str(Path(asked or FOLDER) / name), same, update=update)


def unread(option: Any, where: Path, run: Run) -> str | None:
    """The option that keeps existing snapshots from being compared.

    None where there are no snapshots, and where they are compared.
    """
    there = option.spqr_snapshots is None and (where / FOLDER / run.protocol.settings.name).is_dir()
    return _other(run) if there else None


def _whole(run: Run, option: str) -> None:
    """Refuse an option that needs every planned prompt in a run that does not run them all."""
    if (other := _other(run)) is not None:
        raise InputError(
            f"{option} with {other}: versions are compared, and kept, on all their prompts; leave"
            " out one of the two options."
        )


def _other(run: Run) -> str | None:
    """The option by which a run does not run every prompt; None if it does."""
    if run.limit is not None:
        return f"--spqr-limit {run.limit}"
    return "--spqr-sequential" if run.sequential else None


def _check(what: str, report: Report, run: Run) -> None:
    own = run.protocol
    if report.protocol.hash != own.hash:
        raise InputError(
            f"{what} is of the protocol {report.protocol.name} with the hash"
            f" {report.protocol.hash}, but this run's protocol is {own.settings.name} with the hash"
            f" {own.hash}: their numbers cannot be compared. Measure the earlier version again with"
            " this protocol."
        )
    if report.limit is not None or report.sequential:
        how = (
            f"limited to {report.limit} prompts a set" if report.limit is not None else "sequential"
        )
        raise InputError(
            f"{what} is of a run that was {how}: versions are compared on all their prompts."
        )
    # `complete` would also ask for comparisons, which a baseline does not need.
    if lacking := [*report.missing, *report.problems]:
        named = ", ".join([*lacking[:_NAMED], *(["..."] if len(lacking) > _NAMED else [])])
        raise InputError(
            f"{what} is of an incomplete run ({named}): finish that run first; it reuses what the"
            " store holds."
        )


def _kept(report: Report, until: int | None) -> dict[str, Kept]:
    """The measurements in a report by name; `ValueError` for impossible numbers."""
    model, adapters = report.model, {one.name: one.fingerprint for one in report.scope.adapters}
    kept: dict[str, Kept] = {}
    for one in measurements.listed(report):
        # What was no evidence then is none now, and a curve up to another step is another one.
        if one.not_evidence is not None or (
            one.parts.axis == names.DOSE and not _same(report, one.variant, until)
        ):
            continue
        found, variant = one.estimate, one.variant
        reading = Reading(
            found.value, max(0.0, found.low), min(1.0, found.high), one.confidence, one.n
        )
        ready = variant is not None and variant.profile == PROFILE
        adapter = adapters.get(variant.scenario) if ready and variant else None
        kept[one.name] = Kept(reading, model.target, model.fingerprint, adapter)
    return kept


def _same(report: Report, variant: Variant | None, until: int | None) -> bool:
    """Whether a variant's curve was decided up to the same step as in this run."""
    return any(
        one.until == until for one in report.curves if Variant(one.profile, one.scenario) == variant
    )
