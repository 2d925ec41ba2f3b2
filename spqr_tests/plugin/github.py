"""What GitHub shows of a run: the step's summary and annotations (`-p no:spqr-github` for none)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spqr_tests.reports import annotations, step_summary
from spqr_tests.reports.report import FILE

if TYPE_CHECKING:
    from spqr_tests.plugin.suite import Suite

NAME = "spqr-github"


class GitHub:
    """Writes them at the end of a session."""

    def __init__(self, suite: "Suite", environment: Mapping[str, str]) -> None:
        self._suite = suite
        self._environment = environment
        self._unwritten: str | None = None

    @staticmethod
    def is_wanted(environment: Mapping[str, str]) -> bool:
        """Whether this is a step of a workflow."""
        return bool(environment.get("GITHUB_STEP_SUMMARY")) or _annotates(environment)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Append the summary to the step's file."""
        report, named = self._suite.report, self._environment.get("GITHUB_STEP_SUMMARY")
        if report is None or not named:
            return
        path = Path(named)
        try:
            taken = path.stat().st_size if path.exists() else 0
            text = step_summary.markdown(
                report,
                self._suite.flagged,
                str(self._suite.run.store.folder),
                list(self._links()),
                step_summary.LARGEST - taken,
            )
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            # The decision does not depend on who can read it here.
            self._unwritten = f"GITHUB_STEP_SUMMARY: {path} cannot be written ({error.strerror})."

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the annotations, each a line of its own without colour."""
        report = self._suite.report
        if self._unwritten is not None:
            terminalreporter.write_line(self._unwritten, yellow=True)
        if report is None or not _annotates(self._environment):
            return
        terminalreporter.ensure_newline()
        for line in annotations.lines(report):
            terminalreporter.write_line(line)

    def _links(self) -> list[tuple[str, str]]:
        """Where the report is, and the page of the run, which has the artefacts."""
        folder, of = self._suite.run.report_folder, self._environment.get
        found = [] if folder is None else [("Report", str(folder / FILE))]
        server, repository, run = (
            of(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
        )
        if server.startswith("https://") and repository and run.isdigit():
            found.append(("Artifacts", f"{server}/{repository}/actions/runs/{run}#artifacts"))
        return found


def _annotates(environment: Mapping[str, str]) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"
