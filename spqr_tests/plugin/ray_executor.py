"""`--spqr-executor ray`: a run's items as tasks on a Ray cluster, with the store that all share.

The session that the user started is the driver: it hands out what is ready, sees the results in the
store, and runs the cases, which only read then.
"""

import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.execution import dispatch, sharing, work
from spqr_tests.execution.item import Items
from spqr_tests.plugin import needs
from spqr_tests.plugin.progress import PROGRESS
from spqr_tests.plugin.setup import Asked, for_worker, run_from
from spqr_tests.run.needs import Needs
from spqr_tests.run.run import Run

_HERE_ALONE = ("spqr_baseline", "spqr_snapshots", "spqr_report")
"""Options that only the driver's cases need."""
_AHEAD = 2
"""Tasks handed out for each that can run: none waits for the driver."""


def require() -> None:
    """A usage error where Ray is not installed."""
    if find_spec("ray") is None:
        raise pytest.UsageError(
            "--spqr-executor ray needs Ray on every node: pip install 'spqr-tests[ray]'."
        )


@dataclass(frozen=True)
class _Session:
    """What a node needs to do any item of a run."""

    name: str
    options: Mapping[str, Any]
    where: Path
    known: Mapping[str, Any]
    needed: Needs


class RayExecutor:
    """Has a cluster do the items of a session, once the cases are selected.

    RAY_ADDRESS says where the cluster is; without it Ray starts one on this machine.
    """

    def __init__(self, config: pytest.Config, session: str, run: Run, flags: HarmfulFlags) -> None:
        self._config = config
        self._session = session
        self._run = run
        self._flags = flags

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Do the items before the first case."""
        option = session.config.option
        if not (session.testsfailed or option.setuponly or option.setupplan):
            self._work(session)
        return (yield)

    def _work(self, session: pytest.Session) -> None:
        import ray

        run, needed = self._run, needs.of(self._run, session.items)
        items = work.of(self._flags, needed)
        if not items.missing():
            return
        options = {
            name: None if name in _HERE_ALONE else value
            for name, value in vars(self._config.option).items()
            if name.startswith("spqr_")
        }
        where = self._config.invocation_params.dir
        told = _Session(
            self._session, options | {"collectonly": False}, where, for_worker(run), needed
        )
        began = not ray.is_initialized()
        if began:
            ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False)
        try:
            on_card = run.device != "cpu"
            # Without `max_calls`, Ray ends a process that used a card after each task, and the next
            # one would load the model anew. A lost node's tasks run again elsewhere.
            task: Any = ray.remote(num_cpus=1, num_gpus=int(on_card), max_calls=0, max_retries=-1)(
                _do
            )
            kept = ray.put(told)
            slots = int(ray.cluster_resources().get("GPU" if on_card else "CPU", 1))
            self._config.stash[PROGRESS].processes = max(slots, 1)
            dispatch.carry_out(
                items,
                lambda name: task.remote(kept, name),
                _waiting(run),
                run.progress,
                at_once=_AHEAD * max(slots, 1),
            )
        finally:
            if began:
                ray.shutdown()


def _waiting(run: Run) -> Callable[[list[Any]], tuple[Any, str | None]]:
    """Waits for one task: gives its reference, and why it failed, or None."""

    def wait(open_: list[Any]) -> tuple[Any, str | None]:
        import ray

        (ready, *_), _ = ray.wait(open_, num_returns=1)
        failed, spent = ray.get(ready)
        for name, value in spent.items():
            setattr(run.cost, name, getattr(run.cost, name) + value)
        return ready, failed

    return wait


_KEPT: dict[str, tuple[Run, Items]] = {}
"""The run that this process on a node works for, by session."""


def _do(told: _Session, name: str) -> tuple[str | None, dict[str, int | float]]:
    """One item, on a node: why it failed, or None, and what it cost."""
    try:
        if told.name not in _KEPT:
            _KEPT.clear()
            _KEPT[told.name] = _made(told)
        run, items = _KEPT[told.name]
        before = replace(run.cost)
        failed = None
        try:
            if not items[name].done():
                items[name].make()
        except Exception as error:  # noqa: BLE001  the case that needs it meets it again
            failed = sharing.why(error)
        return failed, run.cost.since(before)
    except (EvidenceError, InputError) as error:
        return f"the node cannot make the run: {error}", {}


def _made(told: _Session) -> tuple[Run, Items]:
    asked = Asked(SimpleNamespace(**told.options), told.where, syrupy=False)
    run = run_from(asked, told.name, lambda *_: None, told.known)
    return run, work.of(HarmfulFlags.of(run), told.needed)
