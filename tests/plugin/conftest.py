"""Fixtures that start the suite on an embedded checkpoint with a tiny protocol."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.store.lock import Lock
from spqr_tests.store.store import LAYOUT
from tests.plugin.plans import Plan, Planned, planned
from tests.running import PROTOCOL, Finished, Suite, start, start_here, thresholds


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A store with all that the tiny protocol needs of embedded:uce, and the run that filled it.

    The workers of a parallel test run share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cold"
    with Lock(Path(f"{folder}.lock"), 0o600, lambda _: None):
        store, kept = folder / "store", folder / "finished.json"
        if not kept.exists():
            folder.mkdir()
            arguments = (
                "--model=embedded:uce",
                f"--spqr-protocol={PROTOCOL}",
                f"--spqr-store={store}",
            )
            cold = start(
                *arguments, f"--spqr-thresholds={thresholds(folder)}", cwd=folder, report=folder
            )
            assert cold.code == 0, cold.output
            kept.write_text(json.dumps(asdict(cold)))
    return store, Finished(**json.loads(kept.read_text()))


@pytest.fixture
def suite(warm: tuple[Path, Finished], tmp_path: Path) -> Suite:
    """Start the suite on the tiny protocol with a copy of the filled store.

    Arguments and keywords override every default.
    """
    own = tmp_path / "warm"

    def run(
        *arguments: str | Path,
        store: Path | None = None,
        model: str = "embedded:uce",
        least: float = 0.0,
        **axes: float,
    ) -> Finished:
        given = thresholds(tmp_path, least, **axes)
        if store is None and not own.exists():
            shutil.copytree(warm[0], own)
        # A process of its own imports torch anew, which takes most of its time: only where a run
        # has workers, or plugins of its own.
        begin = start if any(str(one).startswith(("-n", "-p")) for one in arguments) else start_here
        return begin(
            f"--model={model}",
            f"--spqr-protocol={PROTOCOL}",
            f"--spqr-store={store or own}",
            f"--spqr-thresholds={given}",
            *arguments,
            cwd=tmp_path,
            report=tmp_path / "report",
        )

    return run


@pytest.fixture
def unjudged(warm: tuple[Path, Finished], tmp_path: Path) -> Path:
    """A copy of the filled store from which the judgements are gone."""
    store = tmp_path / "unjudged"
    shutil.copytree(warm[0], store)
    shutil.rmtree(store / LAYOUT / "judgements")
    return store


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that plans leave empty, but for drawn pictures."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture
def plan(empty: Path, tmp_path: Path) -> Plan:
    """Plan a run, with the empty store unless another is given."""

    def run(*arguments: str | Path, store: Path = empty, **means: Any) -> Planned:
        return planned(tmp_path, store, *arguments, **means)

    return run


@pytest.fixture(scope="session")
def whole(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """The plan of a whole run that finds nothing in the store."""
    return planned(tmp_path_factory.mktemp("whole"), empty)
