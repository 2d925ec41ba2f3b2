"""The report's file: while a run goes on it says so, and at the end it is written whole."""

from collections.abc import Callable
from datetime import UTC, datetime

from spqr_tests.reports.ledger import Ledger
from spqr_tests.reports.report import FILE, Report, Running
from spqr_tests.run.run import Run
from spqr_tests.store import whole_files

_PROBLEM = "report"
"""By which a report that could not be written is listed among broken tests."""


class ReportFile:
    """`report.json` of a session; nothing where no --spqr-report names a folder."""

    def __init__(self, run: Run, session: str, ledger: Ledger) -> None:
        self._run = run
        self._session = session
        self._ledger = ledger
        self._began = False

    def begin(self) -> None:
        """Replace an earlier run's report once the first test starts.

        Whatever ends this run, an earlier 'pass' must not be taken for its result.
        """
        if self._began or self._run.report_folder is None:
            return
        self._began = True
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write(lambda: Running.of(self._run, self._session, now))

    def end(self, build: Callable[[], Report]) -> Report:
        """Write what `build` makes, and give it; where that fails, a report that says so."""
        made = build()
        # A session without a test has measured nothing that could replace an earlier report.
        if self._run.report_folder is not None and self._began:
            self._write(lambda: made)
            if _PROBLEM in self._ledger.broken:
                return build()
        return made

    def _write(self, content: Callable[[], Report | Running]) -> None:
        folder = self._run.report_folder
        if folder is None:
            return
        try:
            whole_files.put_json(folder / FILE, content())
        except OSError as error:
            reason = error.strerror or str(error)
            self._ledger.broken[_PROBLEM] = f"{folder / FILE} cannot be written ({reason})"
        except UnicodeEncodeError:
            self._ledger.broken[_PROBLEM] = (
                f"{folder / FILE} cannot be written: a name in it is not text (the path of the"
                " model, a set or a category)"
            )
