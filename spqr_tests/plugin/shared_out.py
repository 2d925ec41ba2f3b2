"""Work that is shared out: xdist's workers do a run's items before they run the cases."""

from collections.abc import Generator, Mapping
from typing import Any

import pytest

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.execution import shards, sharing, work
from spqr_tests.execution.shards import Shard
from spqr_tests.execution.tally import Left
from spqr_tests.plugin import needs, ray_executor
from spqr_tests.plugin.shard import Offline, Sharder
from spqr_tests.reports.ledger import Ledger
from spqr_tests.run.run import Run


def plugin(
    config: pytest.Config, session: str, run: Run, flags: HarmfulFlags, ledger: Ledger
) -> object | None:
    """What does a session's work before its cases, or in their place; None where they do it."""
    option: Any = config.option
    worker: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    if option.spqr_plan or option.collectonly:
        return None
    asked, offline = option.spqr_shard, option.spqr_offline
    if (asked is not None or offline) and run.sequential:
        raise pytest.UsageError(
            f"{'--spqr-offline' if asked is None else '--spqr-shard'} with --spqr-sequential: a"
            " sequential run decides as it goes how many images it needs, so that nobody can make"
            " them before; leave out one of the two options."
        )
    if asked is not None and offline:
        raise pytest.UsageError(
            "--spqr-shard with --spqr-offline: the first makes evidence and the second decides by"
            " it; leave out one of the two options."
        )
    if asked is not None:
        try:
            return Sharder(run, flags, Shard.parse(asked))
        except InputError as error:
            raise pytest.UsageError(str(error)) from error
    if offline:
        run.store.is_complete = True
        return None if worker else Offline(run, flags, ledger)
    if option.spqr_executor == "ray":
        ray_executor.require()
        return ray_executor.RayExecutor(config, session, run, flags)
    return SharedOut(run, flags, worker) if worker else None


def left(run: Run, flags: HarmfulFlags, session: pytest.Session) -> Left | None:
    """What the store lacks of a session's work; None where nobody can say.

    A sequential run decides as it goes how many images it needs.
    """
    if run.sequential:
        return None
    try:
        items = work.of(flags, needs.of(run, session.items))
        if asked := session.config.option.spqr_shard:
            items = shards.share(items, Shard.parse(asked))
        return Left.of(items)
    except (EvidenceError, InputError):
        return None  # the cases meet it again, and say what is wrong


class SharedOut:
    """Has one worker take its part in the items of a session, once the cases are selected.

    xdist deals out cases, of which one may train for hours while the others read what it left.
    With `-x` the cases make what they need, one after the other, so that the first failure ends
    the work too.
    """

    def __init__(self, run: Run, flags: HarmfulFlags, worker: Mapping[str, Any]) -> None:
        self._run = run
        self._flags = flags
        self._place = int(str(worker["workerid"]).removeprefix("gw") or 0)
        self._of = int(worker["workercount"])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Do the items before the first case."""
        option = session.config.option
        if not (session.testsfailed or option.maxfail or option.setuponly or option.setupplan):
            self._work(session)
        return (yield)

    def _work(self, session: pytest.Session) -> None:
        run = self._run
        try:
            items = work.of(self._flags, needs.of(run, session.items))
        except (EvidenceError, InputError):
            return  # the cases meet it again, and say what is wrong
        done = sharing.carry_out(
            items,
            run.store,
            sharing.scope_of(run),
            run.progress,
            place=self._place,
            of=self._of,
        )
        run.cost.waiting += done.waiting
