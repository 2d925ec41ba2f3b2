"""What tests of versions share: comparisons in reports, and the place of snapshots."""

from pathlib import Path
from typing import Any

import pytest

from tests.running import Finished

STARTS = pytest.mark.parametrize("how", [("-n0",), ("-n2",)], ids=" ".join)
SNAPSHOTS = Path("spqr-snapshots") / "tiny"


def measurements(finished: Finished, kind: str) -> dict[str, Any]:
    assert finished.report is not None, finished.output
    found = finished.report["comparison"][kind]["measurements"]
    assert isinstance(found, dict)
    return found


def verdicts(finished: Finished, kind: str) -> dict[str, str]:
    return {name: change["verdict"] for name, change in measurements(finished, kind).items()}
