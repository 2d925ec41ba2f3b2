"""The header: what is measured and how, before anything is measured."""

from collections.abc import Mapping
from typing import Any

from spqr_tests.data.prompts import PromptSet
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation import profile_remarks
from spqr_tests.planning import planner
from spqr_tests.planning.outlook import RunOutlook
from spqr_tests.planning.probe import LARGEST
from spqr_tests.plugin.plan import spell
from spqr_tests.run.needs import Needs
from spqr_tests.run.protocols import LoadedProtocol
from spqr_tests.run.run import Run

_SEQUENTIAL = (
    "harmful prompts come in an order that the protocol's hash decides, and a case stops once it is"
    " decided; adherence and quality keep their n; no"
    " breakdowns, no out-of-distribution prompts"
)


def lines(run: Run) -> list[str]:
    """What is measured and how, a line each, with warnings about what cannot be decided."""
    settings, data = run.protocol.settings, run.protocol
    said = [
        (
            f"spqr model: {run.checkpoint.target} ({run.checkpoint.backbone.name}, fingerprint"
            f" {run.fingerprint[:12] or 'none, without weights'})"
        ),
        *(f"spqr model: {sentence}" for sentence in run.checkpoint.recognised),
        f"spqr protocol: {settings.name} (hash {data.hash}{_of(data.package)})",
        (
            "spqr prompts:"
            f" {', '.join(f'{_size(one)} {kind}' for kind, one in _prompt_sets(data).items())}"
        ),
        *_readings(data),
        *(
            f"spqr prompts: {one.prompts} of {one.of} of [{one.role}] are cut by {one.encoder},"
            f" which reads {one.limit} tokens (the longest has {one.longest})"
            for one in run.cut
        ),
        *_pictures(data),
        f"spqr sampling: {run.checkpoint.sampling(settings.sampler)}",
        f"spqr fine-tuning: {_fine_tunes(run.trained)}",
        *(
            f"spqr fine-tuning: {remark}"
            for name in dict.fromkeys(variant.profile for variant in run.trained)
            for remark in profile_remarks.of(name, settings.profiles[name], run.device)
        ),
        *(f"spqr fine-tuning: {note}" for note in run.notes),
        *_curves(run),
        *(f"spqr adapter {name}: {one.recognised}" for name, one in run.adapters.items()),
        *(
            f"spqr judge: {one.name}, {one.version}{_scalars(one.settings)}"
            for one in (judge.describe() for judge in data.judges)
        ),
        f"spqr device: {run.device}, {settings.sampler.dtype}; thresholds: {run.thresholds_path}",
        f"spqr store: {run.store.folder}",
    ]
    for reference in (run.baseline, run.snapshots):
        if reference is not None:
            what = "compared with" if reference.update == "nothing" else "updating"
            count = f" ({len(reference.kept)} measurements)" if reference.kept else ""
            said.append(f"spqr {reference.kind}: {what} {reference.named}{count}")
    if run.baseline is not None and run.baseline.chained is not None:
        said.append(
            f"spqr warning: the baseline was itself compared with {run.baseline.chained}: losses"
            " below the tolerance add up along such a chain; compare with the first of the line"
        )
    if run.earlier_looks:
        said.append(f"spqr warning: {_looks(run)}")
    if run.snapshots_unread is not None:
        said.append(
            f"spqr snapshots: skipped, since {run.snapshots_unread} does not run every prompt"
        )
    if run.on_estimate:
        said.append(
            "spqr inconclusive cases: decided by their estimates (--spqr-inconclusive=point)"
        )
    if run.sequential:
        said.append(f"spqr sequential: {_SEQUENTIAL}")
    if run.limit is not None:
        said.append(
            f"spqr LIMITED to {run.limit} prompts a set (one a category at least) and training"
            " steps: this try-out decides nothing and does not exit 0"
        )
    else:
        # A limited run decides nothing anyway.
        said += [f"spqr warning: {sentence}" for sentence in RunOutlook(run).impossible()]
    if not settings.release:
        said.append(f"spqr protocol {settings.name} is a quick check, NOT a release verdict")
    return said


def _looks(run: Run) -> str:
    """How often the same was asked of this model before, and what that costs."""
    looks = run.earlier_looks
    before = ", ".join(f"n = {one.prompts} ({one.decision})" for one in looks[-3:])
    return (
        f"look {len(looks) + 1} at the same question; earlier, with other prompts, seeds or"
        f" trainings: {before}. A checkpoint exactly on a threshold passes one look in at most"
        f" 2.5 % of runs, and one of {len(looks) + 1} looks in up to"
        f" {2.5 * (len(looks) + 1):g} %; --spqr-sequential may look as often as it likes"
    )


def time_ahead(run: Run) -> list[str]:
    """About how long a model of real size will take on a CPU; nothing for others."""
    size = sum(model.parameters for model in run.checkpoint.parts.models.values())
    if run.device != "cpu" or size < LARGEST:
        return []
    try:
        found = planner.make(run, Needs.whole(run)).time
    except (EvidenceError, InputError):
        return []  # the run itself will say so
    if found is None:
        return []
    sentence = (
        f"spqr time: about {spell(found.seconds)} on this machine's CPU in one process, for all"
        " cases and what the store lacks; --spqr-plan says more, --spqr-limit 2 tries it out, and"
        " --spqr-device cuda needs a card"
    )
    return [sentence]


def _prompt_sets(data: LoadedProtocol) -> dict[str, PromptSet]:
    """The prompt sets by role, each set once."""
    sets = {"harmful": data.harmful, "benign": data.adherence_prompts}
    if data.ood is not None:
        sets["out of distribution"] = data.ood
    if data.quality_prompts.digest != data.adherence_prompts.digest:
        sets["for quality"] = data.quality_prompts
    return sets


def _size(one: PromptSet) -> str:
    return (
        f"{len(one.rows)}" if one.images == 1 else f"{len(one.rows) // one.images} x {one.images}"
    )


def _readings(data: LoadedProtocol) -> list[str]:
    """How each prompt file was read: its layout, and which rows were left out or added.

    Nothing for a file in the suite's own layout without such rows.
    """
    said = []
    for one in _prompt_sets(data).values():
        readings = [f"read as {one.layout}{_of(one.package)}"] if one.layout else []
        said += [f"spqr prompts: {one.path.name}: {reading}" for reading in (*readings, *one.notes)]
    return list(dict.fromkeys(said))


def _of(package: str) -> str:
    return f", of the installed package {package}" if package else ""


def _pictures(data: LoadedProtocol) -> list[str]:
    """How each set of pictures was read, where there is something to say."""
    sets = {"reference": data.reference, **data.scenarios}
    return [
        f"spqr pictures: {name}: {remark}" for name, one in sets.items() for remark in one.remarks
    ]


def _scalars(settings: Mapping[str, Any]) -> str:
    """The settings that fit in a line."""
    shown = {
        key: value
        for key, value in settings.items()
        if isinstance(value, str | int | float) and key != "kind"
    }
    return "".join(f", {key} {value}" for key, value in shown.items())


def _curves(run: Run) -> list[str]:
    """At which steps variants are measured on the way."""
    how = "one training, with all prompts" if run.sequential else "one training"
    return [
        f"spqr curve: {variant.label} at {', '.join(map(str, steps))} steps of {how}"
        for variant, steps in run.curves.items()
    ]


def _fine_tunes(variants: tuple[tuple[str, str], ...]) -> str:
    """Which profiles are trained on which scenarios, grouped by equal profiles."""
    by_scenario: dict[str, list[str]] = {}
    for profile, scenario in variants:
        by_scenario.setdefault(scenario, []).append(profile)
    together: dict[str, list[str]] = {}
    for scenario, profiles in by_scenario.items():
        together.setdefault(", ".join(profiles), []).append(scenario)
    return (
        "; ".join(
            f"{profiles} on {', '.join(scenarios)}" for profiles, scenarios in together.items()
        )
        or "none"
    )
