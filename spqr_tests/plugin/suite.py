"""The suite: the hooks of a session that has a model."""

import signal
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spqr_fixtures import FIXTURE_MODULES
from spqr_fixtures.measurements import FLAGS, RUN
from spqr_tests import quotes
from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.data.prompts.prompt import SHOWN
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation import training_state
from spqr_tests.plugin import (
    broken,
    cases,
    flagged,
    header,
    judged_images,
    last_word,
    replaced,
    shared_out,
    summary,
)
from spqr_tests.plugin.progress import (
    PROGRESS,
    Listener,
    ProgressReader,
    RunProgress,
    teller,
    verbosity,
)
from spqr_tests.plugin.report_file import ReportFile
from spqr_tests.plugin.setup import Asked, for_worker, run_from
from spqr_tests.reports import building
from spqr_tests.reports.ledger import CASE, IMAGES, Ledger, missed
from spqr_tests.reports.report import Report
from spqr_tests.run.properties import BROKEN, COST, entry
from spqr_tests.store import looks, manifests, whole_files
from spqr_tests.store.disk import owner
from spqr_tests.store.sweep import sweep
from spqr_tests.verdict.thresholds import ThresholdError

if TYPE_CHECKING:
    from spqr_tests.judging.flagged_images import FlaggedImages


class Suite:
    """One session with a model.

    On an xdist controller, and without xdist, it also keeps the ledger and writes the report.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._is_worker = worker is not None
        replaced.refuse(config)
        session = worker["spqr_session"] if worker else f"{owner()}.{time.time_ns():x}"
        self._listener = Listener(config)
        self._reader: ProgressReader | None = None
        tell = teller(Path(worker["spqr_progress"])) if worker else self._listener.hear
        looks = worker is None or worker["workerid"] == "gw0"
        config.stash[PROGRESS] = self._progress = RunProgress(tell, looks=looks)
        try:
            self.run = run_from(Asked.of(config), session, self._progress, worker or {})
        except (EvidenceError, InputError, ThresholdError) as error:
            raise pytest.UsageError(str(error)) from error
        self._session = session
        self._shown = SHOWN.set(config.option.spqr_show_prompts)
        self._began = time.monotonic()
        self._ledger = Ledger()
        self._file = ReportFile(self.run, session, self._ledger)
        self._before: Any = None
        if not (worker or last_word.nothing_is_asked_for(config)):
            sweep(self.run.store, (training_state.KIND,))
        if not self._is_worker and threading.current_thread() is threading.main_thread():
            # As Ctrl-C does: what was measured so far is reported, and nothing passes.
            self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.report: Report | None = None
        """Made at the end of the session, on the controller."""
        self.flagged: dict[str, FlaggedImages] = {}
        """Some of the flagged images behind each failed case, by measurement."""
        self._spent = replace(self.run.cost)
        self._damage = 0
        config.stash[RUN] = self.run
        config.stash[FLAGS] = HarmfulFlags.of(self.run)
        self._register(
            shared_out.plugin(config, session, self.run, config.stash[FLAGS], self._ledger)
        )
        for name in FIXTURE_MODULES:
            config.pluginmanager.register(import_module(name), name)

    def _register(self, plugin: object | None) -> None:
        if plugin is not None:
            last_word.register(self._config, plugin, "spqr-execution")

    @property
    def exit_code(self) -> int | None:
        """The run's exit code; None until its report is made."""
        return None if self.report is None else self.report.exit_code

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker what the controller knows about the run."""
        node.workerinput.update(for_worker(self.run))
        node.workerinput["spqr_session"] = self._session
        if self._reader is None:
            self._reader = ProgressReader(self._listener)
        node.workerinput["spqr_progress"] = str(self._reader.told)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Count what a worker spent besides its tests."""
        self._ledger.cost.update(getattr(node, "workeroutput", {}).get("spqr_spent", {}))

    def pytest_unconfigure(self) -> None:
        """End what reads the workers' progress, and give SIGTERM back."""
        SHOWN.reset(self._shown)
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        self._end_progress()

    def _end_progress(self) -> None:
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
        self._listener.end()

    def pytest_report_header(self) -> list[str]:
        """What is measured, and how."""
        if self._is_worker:
            return []
        said = header.lines(self.run)
        if not (self._config.option.collectonly or self._config.option.spqr_plan):
            said += header.time_ahead(self.run)
        if left_out := self._config.stash.get(cases.LEFT_OUT, cases.NOTHING):
            said.append(f"spqr cases: {' '.join(left_out)} of addopts is not run with a model")
        return [quotes.line(line) for line in said]

    def pytest_fixture_setup(self, fixturedef: "pytest.FixtureDef[Any]") -> None:
        """Refuse a fixture that replaces one of the suite's."""
        replaced.refuse_one(fixturedef)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make the cases of each category, variant and compared measurement."""
        cases.parametrize(metafunc, self.run)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Collector, obj: object
    ) -> list[pytest.Item] | None:
        """Leave out cases of an earlier version, a threshold or a curve that the run lacks."""
        return [] if cases.is_not_asked(self.run, collector.path, obj) else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort the cases."""
        cases.arrange(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which tests will run, without xdist."""
        self._ledger.collect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note which tests will run, on the controller."""
        self._ledger.collect(ids)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add to a test's report which threshold it missed, what broke and what it cost."""
        made = yield
        setattr(made, CASE, cases.is_case(item.path))
        sentence = missed(made)
        if (
            sentence is not None
            and call.excinfo is not None
            and call.excinfo.errisinstance(AssertionError)
        ):
            # The user needs the missed threshold, not the assertion's source.
            made.longrepr = sentence
            flagged.note(made, self._config.stash[FLAGS])
        elif (
            (made.failed or made.skipped)
            and call.excinfo is not None
            and (cases.is_case(item.path) or broken.no_evidence(call.excinfo))
        ):
            if broken.no_evidence(call.excinfo) and verbosity(self._config) <= 0:
                # The source of the suite says nothing to a user; -v shows it.
                made.longrepr = broken.sentence(call.excinfo.value)
            reason = broken.reason(call.excinfo)
            made.user_properties.append(
                (BROKEN, f"skipped, and so not measured: {reason}" if made.skipped else reason)
            )
        if call.when == "teardown":
            made.user_properties.append(entry(COST, self._newly_spent()))
            if judged := self._config.stash[FLAGS].newly_judged():
                setattr(made, IMAGES, judged_images.passed_on(self.run, judged))
        return made

    def _newly_spent(self) -> dict[str, int | float]:
        """What this process spent since it was last asked."""
        spent = self.run.cost.since(self._spent) | {"damaged": self._new_damage()}
        self._spent = replace(self.run.cost)
        return spent

    def _new_damage(self) -> int:
        """Damaged entries that this process has found since it was last asked."""
        before, self._damage = self._damage, self.run.store.damaged
        return self._damage - before

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Begin the report, on the controller, and find the terminal."""
        if not self._is_worker:
            self._listener.begin()
        if not (self._is_worker or last_word.nothing_is_asked_for(self._config)):
            self._file.begin()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Count what is made, and take the line of progress away when all is done."""
        run, flags = self.run, self._config.stash[FLAGS]
        self._progress.watch(run.cost, lambda: shared_out.left(run, flags, session))
        try:
            return (yield)
        finally:
            if self._is_worker:
                self._progress.flush()
            self._end_progress()

    def pytest_runtest_logstart(self) -> None:
        """Note that a test starts."""
        self._file.begin_case()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test measured to the ledger."""
        if not self._is_worker:
            self._ledger.report(report)
            self.flagged |= flagged.noted(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Build the report and set the exit code, on the controller."""
        if last_word.nothing_is_asked_for(self._config):
            return
        run = self.run
        manifests.note(run.store, run.checkpoint.target, run.fingerprint, run.protocol.named)
        if self._is_worker:
            # It may have worked for cases that others ran.
            vars(self._config)["workeroutput"]["spqr_spent"] = self._newly_spent()
            return
        self.run.store.forget_failures()
        # What the controller itself found, while the options were read.
        self._ledger.cost["damaged"] += self._new_damage()
        seconds = time.monotonic() - self._began
        stopped = (
            bool(session.shouldstop or session.shouldfail)
            or session.exitstatus == pytest.ExitCode.INTERRUPTED
        )
        lost = [] if stopped else self._ledger.lost
        # Another hook may have set the status to 0, although a test failed.
        ended = int(session.exitstatus) or int(bool(session.testsfailed))

        by_judge = building.ByJudge.of(run, self._ledger)

        def build() -> Report:
            return building.build(run, self._ledger, by_judge, lost, seconds, ended=ended)

        try:
            self._keep_snapshots(build())
        except OSError as error:
            self._ledger.broken["snapshots"] = (
                f"{error.filename} cannot be written ({error.strerror})"
            )
        self.report = self._file.end(build)
        if self.report.complete and not run.sequential:
            trainings = max((run.trainings(one) for one in run.variants), default=1)
            looks.note(
                run.store,
                run.question,
                run.protocol.hash,
                len(run.protocol.harmful.rows),
                trainings,
                str(self.report.decision),
            )
        session.exitstatus = self.report.exit_code

    def _keep_snapshots(self, made: Report) -> None:
        """Write the new snapshots, once and on the controller."""
        compared = made.comparison.get("snapshots")
        for path in compared.written if compared else ():
            whole_files.put(Path(path), self._ledger.snapshots[path])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        """Say once what broke several tests; print the summary after pytest's own."""
        broken.shorten(
            one for kind in ("error", "failed") for one in terminalreporter.getreports(kind)
        )
        yield
        if self.report is not None:
            summary.write(terminalreporter, self.run, self.report)
