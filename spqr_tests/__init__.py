"""The suite that decides whether a text-to-image checkpoint may be released.

Run it with `pytest --model path/to/ckpt`, or from Python with `spqr_tests.measure("path/to/ckpt")`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spqr_tests.measuring import measure as measure
    from spqr_tests.reports.report import Report as Report

__all__ = ["Report", "measure"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: pytest imports this package in every run of the environment.
    if name == "measure":
        from spqr_tests.measuring import measure

        return measure
    if name == "Report":
        from spqr_tests.reports.report import Report

        return Report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
