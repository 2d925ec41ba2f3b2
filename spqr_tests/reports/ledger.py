"""The ledger: what tests reported to the controller, and which tests never did."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spqr_tests.run.properties import BROKEN, COMPARISON, COST, DECISION, SNAPSHOT

if TYPE_CHECKING:
    import pytest


@dataclass
class Ledger:
    """Collects what tests report.

    `decisions` are by measurement name, `comparisons` by kind and measurement name, `broken` has
    the reasons by test id.
    """

    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    comparisons: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    """The new text of each snapshot, by file."""
    cost: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)

    def collect(self, ids: Iterable[str]) -> None:
        """Note the ids of the tests that will run."""
        self.collected.update(ids)

    def report(self, report: "pytest.TestReport") -> None:
        """Add one phase of one test."""
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
            # xdist reports a test whose worker died in a phase of its own.
            self.broken[report.nodeid] = str(report.longrepr)

    @property
    def lost(self) -> list[str]:
        """Tests that were collected but never reported their teardown."""
        return sorted(self.collected - self.reported - set(self.broken))


def missed(report: "pytest.TestReport") -> str | None:
    """The sentence of the threshold or comparison by which a case failed.

    None for a case that did not fail, or failed for another reason.
    """
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
