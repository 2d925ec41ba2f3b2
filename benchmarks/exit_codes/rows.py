"""The rows of the page: what a way led to."""

from typing import Literal

from pydantic import BaseModel, Field

from benchmarks.numbers import STRICT, Numbers


class Result(BaseModel):
    """One run of a way."""

    model_config = STRICT

    code: int
    """Below 0, the signal that ended the process."""
    sentence: str
    """The decisive one of the output."""
    complete: bool
    """Whether the run's report says that everything was measured."""
    state: str
    """Of report.json: 'finished', 'running', or 'none' where this run wrote none."""


class Row(BaseModel):
    """A way, without and with `-n 2`."""

    model_config = STRICT

    kind: str
    what: str
    asked: bool = False
    beyond: bool = False
    alone: Result
    workers: Result | None = None
    """None where it was not run with workers."""

    @property
    def passes_in_part(self) -> bool:
        """Whether a run exits with 0 that lost something which nobody asked to leave out."""
        lost = any(one.code == 0 and not one.complete for one in self.results)
        return lost and not self.asked

    @property
    def results(self) -> list[Result]:
        """What was run."""
        return [one for one in (self.alone, self.workers) if one is not None]


class ExitCodes(Numbers):
    """The numbers of the page."""

    schema_: Literal["spqr-exit-codes/1"] = Field(alias="schema")
    pytest: str
    xdist: str
    packages: list[str]
    rows: list[Row]
