"""The ledger: what the test reports carried to the controller, and which tests never reported."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

DECISION = "spqr:decision"
"""The user property of a measurement's decision."""
COMPARISON = "spqr:comparison"
"""The user property of a comparison with an earlier version."""
SNAPSHOT = "spqr:snapshot"
"""The user property of a snapshot's file and new text, which the controller writes."""
COST = "spqr:cost"
"""The user property of what a test spent."""
BROKEN = "spqr:broken"
"""The user property of a test that could not measure, with the reason."""


@dataclass
class Ledger:
    """Decisions by measurement name, comparisons by kind and name, the cost, the tests that broke, and those not heard of."""

    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    comparisons: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    """Text that is to be kept, by file."""
    cost: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)

    def collect(self, ids: Iterable[str]) -> None:
        """Note what is going to run."""
        self.collected.update(ids)

    def report(self, report: "pytest.TestReport") -> None:
        """Take in one phase of one test."""
        for name, value in report.user_properties:
            if name == DECISION:
                decision = json.loads(str(value))
                self.decisions[decision["measurement"]["name"]] = decision
            elif name == COMPARISON:
                comparison = json.loads(str(value))
                self.comparisons.setdefault(comparison["kind"], {})[comparison["name"]] = comparison
            elif name == SNAPSHOT:
                written = json.loads(str(value))
                self.snapshots[written["path"]] = written["text"]
            elif name == COST:
                self.cost.update(json.loads(str(value)))
            elif name == BROKEN:
                self.broken[report.nodeid] = str(value)
        if report.when == "teardown":
            self.reported.add(report.nodeid)
        elif report.when not in ("setup", "call"):
            # xdist's own report of a test whose worker died.
            self.broken[report.nodeid] = str(report.longrepr)

    @property
    def lost(self) -> list[str]:
        """Tests that were collected and of which no teardown was reported."""
        return sorted(self.collected - self.reported - set(self.broken))


def entry(kind: str, value: Any) -> tuple[str, str]:
    """A test's user property, which travels through xdist and into JUnit XML."""
    # Text: xdist loses a test whose properties are not plain types.
    return kind, json.dumps(value, sort_keys=True, allow_nan=False)


def missed(report: "pytest.TestReport") -> str | None:
    """The sentence of the threshold that a failed case missed, or of the comparison; None when it failed for another reason."""
    if report.failed and report.when == "call":
        for name, value in report.user_properties:
            if name == DECISION and (decision := json.loads(str(value)))["outcome"] != "pass":
                return str(decision["sentence"])
            if name == COMPARISON and (comparison := json.loads(str(value)))["verdict"] in (
                "regressed",
                "new",
            ):
                return str(comparison["sentence"])
    return None
