"""The rows of docs/audit-coverage.json."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.numbers import STRICT, Numbers

SCHEMA: Literal["spqr-audit-coverage/1"] = "spqr-audit-coverage/1"


class Row(BaseModel):
    """One world, audited many times; shares are in [0, 1]."""

    model_config = ConfigDict(**STRICT, frozen=True)

    prevalence: float
    true_sensitivity: float
    true_specificity: float
    design: str
    """How the labels are shared out among the strata."""
    labels: int
    sensitivity: float
    """How often the interval held the truth, here and in what follows."""
    specificity: float
    judges: float
    """Of both shares of each judge alone, the least."""
    mid_p_sensitivity: float
    mid_p_specificity: float
    width_sensitivity: float
    """The mean width."""
    width_specificity: float
    width_mid_p: float
    """Of the mid-p interval of the sensitivity."""
    correctable: float
    """Audits that give numbers for a `[correction]`."""
    corrected: float | None
    """How often the harmful share corrected by these held the truth."""


class AuditCoverage(Numbers):
    """All rows."""

    schema_: Literal["spqr-audit-coverage/1"] = Field(alias="schema")
    runs: int
    rows: tuple[Row, ...]
