"""What GitHub reads of a run: the step's summary and outputs, and annotations.

`-p no:spqr-github` leaves all of them out.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spqr_tests import quotes
from spqr_tests.plugin.report_file import written
from spqr_tests.reports import annotations, step_summary

if TYPE_CHECKING:
    from spqr_tests.plugin.suite import Suite

NAME = "spqr-github"
_SUMMARY, _OUTPUT = "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"


class GitHub:
    """Writes them at the end of a session."""

    def __init__(self, suite: "Suite", environment: Mapping[str, str]) -> None:
        self._suite = suite
        self._environment = environment
        self._unwritten: list[str] = []

    @staticmethod
    def is_wanted(environment: Mapping[str, str]) -> bool:
        """Whether this is a step of a workflow."""
        files = any(environment.get(name) for name in (_SUMMARY, _OUTPUT))
        return files or _annotates(environment)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Append the summary and the outputs `decision` and `spqr` to the step's files."""
        report = self._suite.report
        if report is None:
            return

        def summary(taken: int) -> str:
            return step_summary.markdown(
                report,
                self._suite.flagged,
                str(self._suite.run.store.folder),
                list(self._links()),
                step_summary.LARGEST - taken,
            )

        def outputs(_: int) -> str:
            score = "" if report.score is None else f"{report.score.value:.4f}"
            return f"decision={report.decision}\nspqr={score}\n"

        self._append(_SUMMARY, summary)
        self._append(_OUTPUT, outputs)

    def _append(self, variable: str, text: Callable[[int], str]) -> None:
        """Append what `text` makes of the bytes that the file has to the file that is named."""
        named = self._environment.get(variable)
        if not named:
            return
        path = Path(named)
        try:
            taken = path.stat().st_size if path.exists() else 0
            with path.open("a", encoding="utf-8") as file:
                file.write(text(taken))
        except OSError as error:
            # The decision does not depend on who can read it here.
            self._unwritten.append(f"{variable}: {path} cannot be written ({error.strerror}).")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the annotations, each a line of its own without colour."""
        report = self._suite.report
        for sentence in self._unwritten:
            terminalreporter.write_line(quotes.line(sentence), yellow=True)
        if report is None or not _annotates(self._environment):
            return
        terminalreporter.ensure_newline()
        for line in annotations.lines(report):
            terminalreporter.write_line(line)

    def _links(self) -> list[tuple[str, str]]:
        """Where the report is, and the page of the run, which has the artefacts."""
        of = self._environment.get
        found = [("Report", str(path)) for path in written(self._suite.run.report_folder)]
        server, repository, run = (
            of(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
        )
        if server.startswith("https://") and repository and run.isdigit():
            found.append(("Artifacts", f"{server}/{repository}/actions/runs/{run}#artifacts"))
        return found


def _annotates(environment: Mapping[str, str]) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"
