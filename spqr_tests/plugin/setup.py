"""From options to a run: everything the user gave is validated here, before anything is collected."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from spqr_fixtures import protocols, sources
from spqr_fixtures.run import Run
from spqr_tests.evidence import device
from spqr_tests.evidence.checkpoint import Checkpoint
from spqr_tests.evidence.errors import InputError
from spqr_tests.evidence.generations import Progress
from spqr_tests.evidence.protocol import Protocol
from spqr_tests.evidence.store import Store
from spqr_tests.verdict import thresholds
from spqr_tests.verdict.thresholds import DEFAULT_CONFIDENCE

_PACKAGED_THRESHOLDS = Path(protocols.__file__).parent / "thresholds.toml"


def run_from(config: pytest.Config, session: str, progress: Progress, known: Mapping[str, Any]) -> Run:
    """The run that the options ask for; `InputError` or `ThresholdError` with a sentence when they cannot be met.

    `known` is what `for_worker` told a worker of the controller's run, {} elsewhere.
    """
    option: Any = config.option
    where = config.invocation_params.dir
    checkpoint = sources.checkpoint(
        option.spqr_model,
        where,
        overlays=option.spqr_overlay,
        config=option.spqr_config,
        allow_pickle=option.spqr_allow_pickle,
        cached=known.get("spqr_revision"),
    )
    on = device.resolve(option.spqr_device or "auto")
    store = Store(_store_folder(where, option.spqr_store), session)
    protocol = protocols.load(_protocol_name(where, option.spqr_protocol, checkpoint), store, on, checkpoint.settled)
    path = _thresholds_path(where, option.spqr_thresholds)
    settings = protocol.settings
    run = Run(
        checkpoint=checkpoint,
        fingerprint=known.get("spqr_fingerprint") or checkpoint.fingerprint,
        protocol=protocol,
        thresholds=thresholds.load(path).protocol(settings.name),
        thresholds_path=path,
        profiles=_chosen("--spqr-profiles", option.spqr_profiles, tuple(settings.profiles)),
        scenarios=_chosen("--spqr-scenarios", option.spqr_scenarios, tuple(settings.scenarios)),
        limit=_limit(option.spqr_limit),
        report_folder=_report_folder(where, option.spqr_report),
        device=on,
        store=store,
        progress=progress,
    )
    _check_thresholds(run, protocol.settings)
    return run


def for_worker(run: Run) -> dict[str, str | None]:
    """What a worker need not work out again: weights are hashed once, and a branch of the hub may move meanwhile."""
    return {"spqr_fingerprint": run.fingerprint, "spqr_revision": run.checkpoint.revision}


def _check_thresholds(run: Run, settings: Protocol) -> None:
    """Refuse what thresholds.toml asks for and no measurement of this protocol can answer."""
    cells = [f"robustness[{profile}-{scenario}]" for profile in settings.profiles for scenario in settings.scenarios]
    if strange := run.thresholds.unmatched(cells):
        raise InputError(
            f"{run.thresholds_path}: {settings.name}.robustness.cells names {strange[0]}, and the protocol has the profiles "
            f"{', '.join(settings.profiles)} and the scenarios {', '.join(settings.scenarios)}."
        )
    for name in run.expected:
        if (asked := run.thresholds.for_measurement(name).confidence) != DEFAULT_CONFIDENCE:
            raise InputError(
                f"{run.thresholds_path}: the threshold of {name} asks for the confidence {asked}, and the suite's intervals "
                f"have {DEFAULT_CONFIDENCE}; leave the key out."
            )


def _store_folder(where: Path, asked: str | None) -> Path:
    named = asked or os.environ.get("SPQR_STORE")
    return where / Path(named).expanduser() if named else platformdirs.user_cache_path("spqr-tests") / "store"


def _protocol_name(where: Path, asked: str | None, checkpoint: Checkpoint) -> str:
    if asked is not None:
        return str(where / asked) if asked.endswith(".toml") else asked
    try:
        return protocols.DEFAULTS[checkpoint.resolution]
    except KeyError:
        raise InputError(
            f"--model {checkpoint.target} paints {checkpoint.resolution} px, for which no protocol is packaged: pass "
            f"--spqr-protocol, a .toml file of yours or one of {', '.join(protocols.names())}."
        ) from None


def _thresholds_path(where: Path, asked: str | None) -> Path:
    if asked is not None:
        return where / asked
    local = where / "thresholds.toml"
    return local if local.is_file() else _PACKAGED_THRESHOLDS


def _report_folder(where: Path, asked: str | None) -> Path | None:
    if asked is None:
        return None
    folder = where / asked
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--spqr-report {asked}: {folder} cannot be made a folder ({error.strerror}).") from error
    return folder


def _chosen(option: str, asked: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The chosen names in the protocol's order; all when none is asked for."""
    if asked is None:
        return known
    names = [name.strip() for name in asked.split(",")]
    for name in names:
        if name not in known:
            raise InputError(f"{option} {asked}: {name!r} is not in the protocol, which has {', '.join(known)}.")
    return tuple(name for name in known if name in names)


def _limit(asked: str | None) -> int | None:
    if asked is None:
        return None
    if not asked.isdigit() or int(asked) < 1:
        raise InputError(f"--spqr-limit {asked}: expected is a whole number of prompts, from 1.")
    return int(asked)
