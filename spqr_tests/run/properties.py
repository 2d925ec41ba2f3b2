"""User properties: what a test passes to the controller, through xdist and into JUnit XML."""

import json
from typing import Any

DECISION = "spqr:decision"
"""A measurement and its decision."""
CURVE = "spqr:curve"
"""A curve that no threshold bounds."""
DISTINCT = "spqr:distinct"
"""The share of a measurement's images that differ from all before them, where it is below 1."""
COMPARISON = "spqr:comparison"
"""A comparison with an earlier version."""
SNAPSHOT = "spqr:snapshot"
"""A snapshot's file and its new text, which the controller writes."""
COST = "spqr:cost"
"""What a test spent."""
BROKEN = "spqr:broken"
"""Why a test could not measure."""


def entry(kind: str, value: Any) -> tuple[str, str]:
    """A user property with a JSON value."""
    # Text: xdist loses a test whose properties are not plain types.
    return kind, json.dumps(value, sort_keys=True, allow_nan=False)
