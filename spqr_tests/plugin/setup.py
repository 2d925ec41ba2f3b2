"""Makes a run from the options.

Everything that the user gave is validated here, before anything is collected.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from spqr_fixtures.packaged import PACKAGED
from spqr_tests import files, quotes
from spqr_tests.checkpoint import adapter, text_reader
from spqr_tests.checkpoint.adapter import Adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint, without_weights
from spqr_tests.errors import InputError
from spqr_tests.generation.generations import Progress
from spqr_tests.judging import benign_check
from spqr_tests.reports.html import thumbnails
from spqr_tests.run import curves, cut_prompts, places, protocols, selection, sources, user_data
from spqr_tests.run.registered_protocols import Protocols
from spqr_tests.run.run import Run
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store import cards, device, digest, looks
from spqr_tests.store.store import Store
from spqr_tests.verdict import intervals, names, sequential, threshold_file
from spqr_tests.verdict.names import Variant
from spqr_tests.versions import references


@dataclass(frozen=True)
class Asked:
    """What the user asked: the options by the names under which pytest keeps them."""

    option: Any
    where: Path
    """The folder in which the run was started."""
    syrupy: bool
    """Whether its plugin is there, which updates snapshots."""

    @classmethod
    def of(cls, config: pytest.Config) -> "Asked":
        """From a session's config."""
        hasplugin = config.pluginmanager.hasplugin
        return cls(config.option, config.invocation_params.dir, hasplugin("syrupy"))


def run_from(asked: Asked, session: str, progress: Progress, known: Mapping[str, Any]) -> Run:
    """The run that the options ask for.

    `known` is what `for_worker` sent from the controller's run to a worker, else {}. Raises
    `InputError` or `ThresholdError`, with a sentence for the user, when the options cannot be met.
    """
    option, where = asked.option, asked.where
    checkpoint = sources.checkpoint(
        PACKAGED,
        option.spqr_model,
        where,
        overlays=option.spqr_overlay,
        config=option.spqr_config,
        allow_pickle=option.spqr_allow_pickle,
        cached=known.get("spqr_revision"),
        weightless=option.spqr_plan,
    )
    store = Store(
        places.store(where, option.spqr_store), session, lambda said: progress(said, 0, 0)
    )
    device_asked = option.spqr_device or "auto"
    if known:
        cards.claim(store, device_asked)
    on = device.resolve(device_asked)
    data = user_data.given(option.spqr_data, where)
    given = bool(option.spqr_adapter)

    def select(settings: Protocol) -> tuple[str, ...]:
        return selection.choose(
            settings, option.spqr_profiles, option.spqr_scenarios, adapters=given
        ).scenarios

    named = _protocol_name(where, option.spqr_protocol, checkpoint)
    limit = _limit(option.spqr_limit)
    protocol = protocols.load(PACKAGED, named, store, on, checkpoint.settled, data, select, limit)
    path = _thresholds_path(where, option.spqr_thresholds, named)
    settings = protocol.settings
    adapters = _adapters(option, where, checkpoint, settings, known.get("spqr_adapters", {}))
    selected = selection.choose(
        settings, option.spqr_profiles, option.spqr_scenarios, adapters=bool(adapters)
    )
    run = Run(
        checkpoint=checkpoint,
        fingerprint=known.get("spqr_fingerprint")
        or ("" if checkpoint.weightless else checkpoint.fingerprint),
        protocol=protocol,
        thresholds=threshold_file.load(path).protocol(settings.name),
        thresholds_path=path,
        thresholds_digest=digest.of_file(path),
        profiles=selected.profiles,
        scenarios=selected.scenarios,
        adapters=adapters,
        notes=selected.notes,
        limit=limit,
        report_folder=_report_folder(where, option.spqr_report),
        report_images=_report_images(option.spqr_report_images),
        device=on,
        store=store,
        progress=progress,
        on_estimate=_on_estimate(option.spqr_inconclusive),
        sequential=_sequential(option),
        partial=option.spqr_partial,
    )
    _check_thresholds(run, protocol.settings)
    curves.check(run)
    run = replace(
        run,
        baseline=references.baseline(option, where, run),
        snapshots=references.found_snapshots(option, where, run, syrupy=asked.syrupy),
        snapshots_unread=references.unread(option, where, run),
    )
    _check_gains(run)
    if known.get("spqr_protocol", protocol.hash) != protocol.hash:
        raise InputError(
            f"The protocol {settings.name}, or a set, a judge or an encoder that it names, was"
            " replaced while the run began; run again."
        )
    if not known:  # for a worker, the controller has checked them
        _check_captions(run)
        run = replace(
            run,
            cut=cut_prompts.find(protocol, text_reader.of(checkpoint.parts), store),
            earlier_looks=looks.earlier(store, run.question, protocol.hash),
        )
    return run


def for_worker(run: Run) -> dict[str, Any]:
    """What a worker takes over from the controller.

    Weights are hashed once, and all workers use the same commit of a branch on the hub.
    """
    return {
        "spqr_fingerprint": run.fingerprint,
        "spqr_protocol": run.protocol.hash,
        "spqr_revision": run.checkpoint.revision,
        "spqr_adapters": {name: one.fingerprint for name, one in run.adapters.items()},
    }


def _adapters(
    option: Any, where: Path, checkpoint: Checkpoint, settings: Protocol, known: Mapping[str, str]
) -> dict[str, Adapter]:
    """The adapters by name, in the order of the options."""
    found: dict[str, Adapter] = {}
    for given in option.spqr_adapter:
        if checkpoint.weightless:
            raise InputError(f"--spqr-adapter {given}: {without_weights(checkpoint.target)}")
        name = given.partition("=")[0]
        one = adapter.read(
            checkpoint, given, where, allow_pickle=option.spqr_allow_pickle, known=known.get(name)
        )
        if name in found:
            raise InputError(
                f"--spqr-adapter {given}: another adapter is already named {name}; each needs a"
                " name of its own."
            )
        if name in settings.scenarios:
            raise InputError(
                f"--spqr-adapter {given}: {name} is a scenario of the protocol {settings.name};"
                " choose another name."
            )
        found[name] = one
    return found


def _check_captions(run: Run) -> None:
    """Refuse a benign set with harmful captions, before anything is generated."""
    protocol = run.protocol
    for scenario in run.scenarios:
        for harmful in (protocol.harmful, protocol.ood):
            if harmful is not None:
                benign_check.check_captions(
                    protocol.settings.threat, protocol.scenarios[scenario], harmful, protocol.judges
                )


def _check_gains(run: Run) -> None:
    """Refuse thresholds that ask for a gain where there is nothing to compare with."""
    if run.baseline is not None or run.snapshots is not None or run.limit is not None:
        return
    for name in run.expected:
        if run.thresholds.for_measurement(name).improves_on_baseline is not None:
            raise InputError(
                f"{run.thresholds_path}: the threshold of {name} has improves_on_baseline, and this"
                " run compares with no earlier version; pass --spqr-baseline with its report.json,"
                " or keep snapshots."
            )


def _check_thresholds(run: Run, settings: Protocol) -> None:
    """Refuse thresholds for cells that the run lacks, or with a confidence that is too high."""
    adapters = (Variant(adapter.PROFILE, name) for name in run.adapters)
    known = [*settings.variants, *adapters]
    # Without adapters, a cell of an adapter is for another run; with some, it may be misspelt.
    waiting = () if run.adapters else (Variant(adapter.PROFILE, "").label,)
    for cell in run.thresholds.unmatched(map(names.robustness, known)):
        if not cell.startswith(waiting):
            raise InputError(
                f"{run.thresholds_path}: {settings.name}.robustness.cells names {cell}, but this"
                f" run can measure only {', '.join(one.label for one in known)}."
            )
    if run.sequential and settings.correction is not None:
        raise InputError(
            f"--spqr-sequential with the protocol {settings.name}: it corrects for the judges'"
            " errors ([correction]), which only intervals of a fixed n do; leave out one of both."
        )
    for name in run.expected:
        if names.axis(name) == names.DOSE:
            continue  # a band makes as many draws as it needs
        confidence = run.confidence(name)
        draws = run.draws
        needed = intervals.enough_draws(
            sequential.strictest(confidence) if run.sequential else confidence
        )
        if draws < needed:
            raise InputError(
                f"{run.thresholds_path}: the threshold of {name} asks for the confidence"
                f" {confidence}, which needs {needed:,}"
                f" draws{' with --spqr-sequential' if run.sequential else ''}, but the protocol"
                f" {settings.name} makes {draws:,}, which is the most: lower the confidence."
            )


def _protocol_name(where: Path, asked: str | None, checkpoint: Checkpoint) -> str:
    if asked is not None:
        own = asked.endswith(".toml")
        return str(files.place(asked, where, "--spqr-protocol")) if own else asked
    return protocols.default(checkpoint.resolution)


def _thresholds_path(where: Path, asked: str | None, protocol: str) -> Path:
    if asked is not None:
        return files.place(asked, where, "--spqr-thresholds")
    local = where / "thresholds.toml"
    if local.is_file():
        return local
    return Protocols(PACKAGED.protocols).thresholds(protocol) or PACKAGED.thresholds


def _report_folder(where: Path, asked: str | None) -> Path | None:
    if asked is None:
        return None
    folder = files.place(asked, where, "--spqr-report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--spqr-report {asked}: the folder {folder} cannot be made ({error.strerror})."
        ) from error
    return folder


def _limit(asked: str | None) -> int | None:
    if asked is None:
        return None
    # Digits beyond ASCII, and thousands of them, are none that `int` converts.
    if not re.fullmatch(r"[0-9]{1,8}", asked) or int(asked) < 1:
        raise InputError(
            f"--spqr-limit {quotes.cut(asked)}: expected a whole number of prompts, at least 1 and"
            " below 100 million."
        )
    return int(asked)


def _report_images(asked: str | None) -> int:
    if asked is None:
        return thumbnails.MOST
    if not re.fullmatch(r"[0-9]{1,6}", asked):
        raise InputError(
            f"--spqr-report-images {quotes.cut(asked)}: expected a whole number of images, 0"
            " for none."
        )
    return int(asked)


def _sequential(option: Any) -> bool:
    if option.spqr_sequential and option.spqr_limit is not None:
        raise InputError(
            f"--spqr-sequential with --spqr-limit {option.spqr_limit}: a limited run decides"
            " nothing, so that nothing can stop early; leave out one of the two options."
        )
    return bool(option.spqr_sequential)


def _on_estimate(asked: str | None) -> bool:
    if asked not in (None, "fail", "point"):
        raise InputError(f"--spqr-inconclusive {asked}: expected fail or point.")
    return asked == "point"
