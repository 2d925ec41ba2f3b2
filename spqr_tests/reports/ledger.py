"""The ledger: what tests reported to the controller, and which tests never did."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spqr_tests.reports.images import Found, ImagesFile, add
from spqr_tests.run.properties import BROKEN, COMPARISON, COST, CURVE, DECISION, SNAPSHOT
from spqr_tests.verdict.names import Variant

if TYPE_CHECKING:
    import pytest


CASE = "spqr_case"
"""An attribute of a packaged case's reports, which xdist passes on as it does all others."""
IMAGES = "spqr_images"
"""One of a test's last report: the images that it had judged. Too long for a user property."""


@dataclass
class Ledger:
    """Collects what tests report.

    `decisions` are by measurement name, `comparisons` by kind and measurement name, `broken` has
    the reasons by test id.
    """

    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    comparisons: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    curves: dict[Variant, dict[str, Any]] = field(default_factory=dict)
    """Curves that no threshold bounds, by variant."""
    snapshots: dict[str, str] = field(default_factory=dict)
    """The new text of each snapshot, by file."""
    cost: Counter[str] = field(default_factory=Counter)
    """Counts, and seconds by stage."""
    images: Found = field(default_factory=dict)
    """What was judged, for images.jsonl."""
    images_file: ImagesFile | None = None
    """That file, once it is written."""
    broken: dict[str, str] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)
    cases: set[str] = field(default_factory=set)
    """Ids of the packaged cases that reported anything, each of which has to end by a decision."""
    decided: set[str] = field(default_factory=set)
    """Ids of the tests that recorded a decision, a comparison or a curve."""

    def collect(self, ids: Iterable[str]) -> None:
        """Note the ids of the tests that will run."""
        self.collected.update(ids)

    def report(self, report: "pytest.TestReport") -> None:
        """Add one phase of one test."""
        if getattr(report, CASE, False):
            self.cases.add(report.nodeid)
        if any(name in (DECISION, COMPARISON, CURVE) for name, _ in report.user_properties):
            self.decided.add(report.nodeid)
        self._read(report)
        if images := getattr(report, IMAGES, ""):
            add(self.images, images)
        if report.when == "teardown":
            self.reported.add(report.nodeid)
        elif report.when not in ("setup", "call"):
            # xdist reports a test whose worker died in a phase of its own.
            self.broken[report.nodeid] = str(report.longrepr)

    def _read(self, report: "pytest.TestReport") -> None:
        """Take what the test recorded."""
        for name, value in report.user_properties:
            if name == DECISION:
                decision = json.loads(str(value))
                self.decisions[decision["measurement"]["name"]] = decision
            elif name == COMPARISON:
                comparison = json.loads(str(value))
                self.comparisons.setdefault(comparison["kind"], {})[comparison["name"]] = comparison
            elif name == CURVE:
                curve = json.loads(str(value))
                self.curves[Variant(curve["profile"], curve["scenario"])] = curve
            elif name == SNAPSHOT:
                written = json.loads(str(value))
                self.snapshots[written["path"]] = written["text"]
            elif name == COST:
                self.cost.update(json.loads(str(value)))
            elif name == BROKEN:
                self.broken[report.nodeid] = str(value)

    @property
    def undecided(self) -> list[str]:
        """Cases that ended, as pytest sees it well, without a decision.

        Their call was skipped, by `--setup-only` or by a hook, or their properties were cleared.
        """
        return sorted((self.cases & self.reported) - self.decided - set(self.broken))

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
                "inconclusive",
                "unimproved",
                "new",
            ):
                return str(comparison["sentence"])
    return None
