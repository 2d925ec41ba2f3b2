"""`--junitxml` for viewers: the file that pytest has written, with texts and attachments."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

import pytest

from spqr_tests import quotes
from spqr_tests.axes.flagged import MOST
from spqr_tests.plugin.report_file import written
from spqr_tests.reports import case_text, junit
from spqr_tests.reports.blurred import blurred
from spqr_tests.reports.junit import Shown
from spqr_tests.reports.report import Report
from spqr_tests.run.properties import COMPARISON, DECISION
from spqr_tests.store import whole_files
from spqr_tests.store.entry import DamagedError

if TYPE_CHECKING:
    from spqr_tests.plugin.suite import Suite

NAME = "spqr-junit"
_MISSED = ("regressed", "unimproved", "inconclusive")
_FOLDER = "flagged"
"""Below the report's folder: what is attached."""
_COPY = re.compile(r"[\w-]+-[0-9a-f]{8}-\d+\.png")


class JUnit:
    """Rewrites the file once pytest has written it, at the end of a session."""

    def __init__(self, suite: "Suite", path: str, environment: Mapping[str, str]) -> None:
        self._suite = suite
        # As pytest finds it, and before a test can change the folder.
        self._path = Path(os.path.abspath(os.path.expanduser(os.path.expandvars(path))))  # noqa: PTH100, PTH111
        self._project = environment.get("CI_PROJECT_DIR")
        self._unwritten: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Rewrite the file; where that fails, it stays as pytest wrote it."""
        report = self._suite.report
        if report is None or not self._path.is_file():
            return
        try:
            attached = dict(self._attached(report))
            xml = junit.readable(
                self._path.read_bytes(),
                lambda properties: self._shown(report, attached, properties),
                [self._named(path) for path in written(self._suite.run.report_folder)],
                {
                    "model": report.model.target,
                    "protocol": f"{report.protocol.name} ({report.protocol.hash})",
                    "verdict": report.decision_sentence,
                },
            )
            whole_files.put(self._path, xml.decode())
        except (OSError, ParseError) as error:
            self._unwritten = f"--junitxml {self._path} is as pytest wrote it ({error})."

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where that failed."""
        if self._unwritten is not None:
            terminalreporter.write_line(quotes.line(self._unwritten), yellow=True)

    def _shown(
        self, report: Report, attached: Mapping[str, list[str]], properties: Mapping[str, str]
    ) -> Shown | None:
        """What a viewer shows of the case that has these properties."""
        store = str(self._suite.run.store.folder)
        if (text := properties.get(COMPARISON)) is not None:
            found = json.loads(text)
            name, compared = found["name"], report.comparison.get(found["kind"])
            change = None if compared is None else compared.measurements.get(name)
            if change is None:
                return None
            said = case_text.of_change(name, change, store)
            return Shown(said, attached.get(f"{found['kind']} {name}", []))
        if (text := properties.get(DECISION)) is None:
            return None
        name = json.loads(text)["measurement"]["name"]
        case = next((one for one in report.cases if one.name == name), None)
        if case is None or case.outcome == "pass":
            return None
        said = case_text.of_case(case, self._suite.flagged.get(name), store)
        return Shown(said, attached.get(name, []))

    def _attached(self, report: Report) -> Iterator[tuple[str, list[str]]]:
        """Write coarse copies of what is flagged, and name them by measurement or comparison."""
        if self._suite.run.report_folder is None:
            return
        folder = self._suite.run.report_folder / _FOLDER
        with contextlib.suppress(FileNotFoundError):
            for earlier in folder.iterdir():
                if _COPY.fullmatch(earlier.name):
                    earlier.unlink()
        for named, images in self._images(report):
            # Jenkins knows attachments by their file's name alone.
            start = f"{re.sub(r'[^A-Za-z0-9]+', '-', named).strip('-')[:60]}-{_digest(named)}"
            paths = []
            for number, image in enumerate(images, 1):
                copy = folder / f"{start}-{number}.png"
                # What cannot be shown is not attached; the text names it anyway.
                with contextlib.suppress(OSError, DamagedError):
                    content = blurred(self._suite.run.store.folder / image)
                    folder.mkdir(exist_ok=True)
                    copy.write_bytes(content)
                    paths.append(self._named(copy))
            yield named, paths

    def _images(self, report: Report) -> Iterator[tuple[str, list[str]]]:
        """Some flagged images behind each measurement, and those newly flagged since a version."""
        for name, found in self._suite.flagged.items():
            yield name, [one.path for one in found.shown]
        for kind, compared in report.comparison.items():
            for name, change in compared.measurements.items():
                if change.verdict in _MISSED and change.newly_flagged:
                    yield f"{kind} {name}", [one.new for one in change.newly_flagged[:MOST]]

    def _named(self, path: Path) -> str:
        """A path as viewers look for it: GitLab below the project, Jenkins and Azure anywhere."""
        if self._project:
            with contextlib.suppress(ValueError):
                return path.resolve().relative_to(Path(self._project).resolve()).as_posix()
        return str(path)


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
