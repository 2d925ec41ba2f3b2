"""`--spqr-shard` makes a share of a run's evidence; `--spqr-offline` decides from what is made."""

import pytest

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.execution import shards, sharing, work
from spqr_tests.execution.item import Items
from spqr_tests.execution.shards import Shard
from spqr_tests.plugin import needs, tables
from spqr_tests.reports.ledger import Ledger
from spqr_tests.run.run import Run
from spqr_tests.store import manifests
from spqr_tests.verdict.release import ExitCode

_SHOWN = 20


class Sharder:
    """Makes one share of what the selected cases need, and ends the session without them."""

    def __init__(self, run: Run, flags: HarmfulFlags, shard: Shard) -> None:
        self._run = run
        self._flags = flags
        self._shard = shard

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Make it in place of running what was collected."""
        if session.testsfailed or not session.items:
            return None  # pytest reports that collection failed or nothing was selected
        run, shard = self._run, self._shard
        every = _items(run, self._flags, session)
        mine = shards.share(every, shard)
        done = sharing.carry_out(mine, run.store, sharing.scope_of(run), run.progress)
        run.store.forget_failures()
        manifests.note(run.store, run.checkpoint.target, run.fingerprint, run.protocol.named)
        _write(
            session,
            f"shard {shard.number} of {shard.of}: {len(mine)} of {len(every)} items,"
            f" {len(done.made)} made now, {len(done.failed)} failed"
            f" ({run.cost.generated} images generated, {run.cost.judged} judgements,"
            f" {run.cost.finetuned} fine-tunes). Nothing was decided: run the same command with"
            " --spqr-offline once all shards are done.",
        )
        if done.failed:
            for name, reason in list(done.failed.items())[:_SHOWN]:
                _write(session, f"failed: {name}: {reason}")
            pytest.exit(f"{len(done.failed)} items failed", returncode=ExitCode.BROKEN)
        return True


class Offline:
    """Requires that the store holds all that the selected cases need."""

    def __init__(self, run: Run, flags: HarmfulFlags, ledger: Ledger) -> None:
        self._run = run
        self._flags = flags
        self._ledger = ledger

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """List what is missing, with the command that makes it, and end the run as broken."""
        if session.testsfailed or not session.items:
            return
        missing = _items(self._run, self._flags, session).missing()
        if not missing:
            return
        # The report names what is missing, and not each case that it kept from running.
        self._ledger.collected.clear()
        self._ledger.broken |= {item.name: "the store lacks it" for item in missing}
        for item in missing[:_SHOWN]:
            _write(session, f"missing: {item.name}")
        if len(missing) > _SHOWN:
            _write(session, f"missing: and {len(missing) - _SHOWN} more")
        pytest.exit(
            f"--spqr-offline: the store {self._run.store.folder} lacks {len(missing)} items."
            " Make them by the same command with --spqr-shard 1/1 in place of --spqr-offline (or by"
            " the shards that did not end), and run this again.",
            returncode=ExitCode.BROKEN,
        )


def _items(run: Run, flags: HarmfulFlags, session: pytest.Session) -> Items:
    try:
        return work.of(flags, needs.of(run, session.items))
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
    except EvidenceError as error:
        pytest.exit(f"The run would break: {error}", returncode=ExitCode.BROKEN)


def _write(session: pytest.Session, line: str) -> None:
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        tables.say(terminal, line)
