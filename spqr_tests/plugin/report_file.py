"""The report's files: while a run goes on they say so, and at the end they are written whole."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spqr_tests.reports import images
from spqr_tests.reports.html import page
from spqr_tests.reports.ledger import Ledger
from spqr_tests.reports.report import FILE, Report, Running
from spqr_tests.run.run import Run
from spqr_tests.store import whole_files

_SELECTED_NOTHING = (4, 5)
"""Pytest's codes for arguments that name no test, and for a selection without one."""
_PROBLEM = "report"
"""By which a report that could not be written is listed among broken tests."""


def written(folder: Path | None) -> list[Path]:
    """The reports that a folder holds, for people first."""
    return (
        []
        if folder is None
        else [one for one in (folder / page.FILE, folder / FILE) if one.is_file()]
    )


class ReportFile:
    """`report.json`, and what is made from it; nothing where no --spqr-report names a folder."""

    def __init__(self, run: Run, session: str, ledger: Ledger) -> None:
        self._run = run
        self._session = session
        self._ledger = ledger
        self._began = False
        self._measures = False
        self._earlier: bytes | None = None
        self._earlier_page: bytes | None = None

    def begin(self) -> None:
        """Say that a run goes on, in the place of an earlier run's report, before it collects.

        Whatever ends this run, an earlier 'pass' must not be taken for its result.
        """
        if self._began or self._run.report_folder is None:
            return
        self._began = True
        with contextlib.suppress(OSError):
            self._earlier = (self._run.report_folder / FILE).read_bytes()
            self._earlier_page = (self._run.report_folder / page.FILE).read_bytes()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        running = Running.of(self._run, self._session, now)
        self._write(lambda: running)
        self._write_page(lambda: page.of_running(running))

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
        folder = self._run.report_folder
        if folder is None or not self._began:
            return made
        if not self._measures and made.exit_code in _SELECTED_NOTHING:
            _put_back(folder / FILE, self._earlier)
            _put_back(folder / page.FILE, self._earlier_page)
            return made
        self._write_images(folder)
        made = build()
        self._write(lambda: made)
        if _PROBLEM not in self._ledger.broken:
            self._write_page(lambda: self._page(made, folder))
            if _PROBLEM not in self._ledger.broken:
                return made
        made = build()
        # The page is derived: where it cannot be written, report.json still can, and says so.
        self._write(lambda: made)
        return made

    def _page(self, made: Report, folder: Path) -> str:
        rows = list(images.rows(self._run, self._ledger.images))
        most = self._run.report_images
        return page.of_report(made, rows, self._run.store.folder, folder, most=most)

    def _write_images(self, folder: Path) -> None:
        """Write what the report states the digest of, before the report."""
        try:
            self._ledger.images_file = images.write(self._run, self._ledger.images, folder)
        except OSError as error:
            self._ledger.broken[_PROBLEM] = _unwritten(folder / images.FILE, error)

    def _write(self, content: Callable[[], Report | Running]) -> None:
        folder = self._run.report_folder
        if folder is None:
            return
        try:
            whole_files.put_json(folder / FILE, content())
        except OSError as error:
            self._ledger.broken[_PROBLEM] = _unwritten(folder / FILE, error)
        except UnicodeEncodeError:
            self._ledger.broken[_PROBLEM] = (
                f"{folder / FILE} cannot be written: a name in it is not text (the path of the"
                " model, a set or a category)"
            )

    def _write_page(self, content: Callable[[], str]) -> None:
        folder = self._run.report_folder
        if folder is None:
            return
        try:
            whole_files.put(folder / page.FILE, content())
        except OSError as error:
            self._ledger.broken[_PROBLEM] = _unwritten(folder / page.FILE, error)


def _put_back(path: Path, earlier: bytes | None) -> None:
    # Where that fails, the file goes on saying that a run goes on, which is no 'pass' either.
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if earlier is not None:
            whole_files.put(path, earlier.decode())
        elif path.is_file():
            path.unlink()


def _unwritten(path: Path, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror or error})"
