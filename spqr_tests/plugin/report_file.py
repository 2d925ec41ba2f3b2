"""The report's file: while a run goes on it says so, and at the end it is written whole."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spqr_tests.reports.ledger import Ledger
from spqr_tests.reports.report import FILE, Report, Running
from spqr_tests.run.run import Run
from spqr_tests.store import whole_files

_SELECTED_NOTHING = (4, 5)
"""Pytest's codes for arguments that name no test, and for a selection without one."""
_PROBLEM = "report"
"""By which a report that could not be written is listed among broken tests."""
_PAGE = "report.html"


def written(folder: Path | None) -> list[Path]:
    """The reports that a folder holds, for people first."""
    return (
        [] if folder is None else [one for one in (folder / _PAGE, folder / FILE) if one.is_file()]
    )


class ReportFile:
    """`report.json` of a session; nothing where no --spqr-report names a folder."""

    def __init__(self, run: Run, session: str, ledger: Ledger) -> None:
        self._run = run
        self._session = session
        self._ledger = ledger
        self._began = False
        self._measures = False
        self._earlier: bytes | None = None

    def begin(self) -> None:
        """Say that a run goes on, in the place of an earlier run's report, before it collects.

        Whatever ends this run, an earlier 'pass' must not be taken for its result.
        """
        if self._began or self._run.report_folder is None:
            return
        self._began = True
        with contextlib.suppress(OSError):
            self._earlier = (self._run.report_folder / FILE).read_bytes()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write(lambda: Running.of(self._run, self._session, now))

    def begin_case(self) -> None:
        """Note that a test starts: what was measured earlier is replaced in any event."""
        self._measures = True

    def end(self, build: Callable[[], Report]) -> Report:
        """Write what `build` makes, and give it; where that fails, a report that says so.

        A session that selects no test has measured nothing that could replace an earlier report:
        that one is put back. One that was stopped or broke before its first test is not such a
        session.
        """
        made = build()
        if self._run.report_folder is None or not self._began:
            return made
        if not self._measures and made.exit_code in _SELECTED_NOTHING:
            self._put_back(self._run.report_folder / FILE)
            return made
        self._write(lambda: made)
        return build() if _PROBLEM in self._ledger.broken else made

    def _put_back(self, path: Path) -> None:
        # Where that fails, the file goes on saying that a run goes on, which is no 'pass' either.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self._earlier is not None:
                whole_files.put(path, self._earlier.decode())
            elif path.is_file():
                path.unlink()

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
