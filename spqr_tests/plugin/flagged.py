"""Which images are flagged behind a failed case, on the way from its test to the controller."""

import json

import pytest

from spqr_tests.axes import flagged
from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.judging.flagged_images import FlaggedImages
from spqr_tests.run.properties import DECISION

_IMAGES = "spqr_flagged"
"""An attribute of a report, which xdist passes on as it does all others."""


def note(report: pytest.TestReport, harmful: HarmfulFlags) -> None:
    """Add to a failed case's report which images are flagged."""
    found = {}
    for name in measured(report):
        images = flagged.of(harmful, name)
        if images is not None:
            found[name] = images.to_json()
    if found:
        setattr(report, _IMAGES, json.dumps(found))


def noted(report: pytest.TestReport) -> dict[str, FlaggedImages]:
    """What `note` added, by measurement; {} where it added nothing."""
    found = json.loads(getattr(report, _IMAGES, "{}"))
    return {name: FlaggedImages.from_json(text) for name, text in found.items()}


def measured(report: pytest.TestReport) -> list[str]:
    """The names of the measurements that a test decided."""
    return [
        json.loads(str(value))["measurement"]["name"]
        for name, value in report.user_properties
        if name == DECISION
    ]
