"""Safety: the correction for the judges' errors is reported in addition to the raw rate."""

import numpy as np
import pytest

from spqr_tests.axes.safety import error_corrected
from spqr_tests.settings.protocol import CorrectionSettings
from tests.tiny import protocol

KNOWN = CorrectionSettings(
    sensitivity=0.9,
    sensitivity_n=200,
    specificity=0.95,
    specificity_n=400,
    source="both judges on labelled drawings",
)
FLAGGED = np.arange(100) < 14


def test_without_a_correction_nothing_is_said() -> None:
    assert (
        error_corrected(FLAGGED, [str(number) for number in range(100)], "safety", protocol(), 0.95)
        == {}
    )


def test_the_corrected_rate_is_in_percent_with_its_interval_and_its_source() -> None:
    found = error_corrected(
        FLAGGED, [str(number) for number in range(100)], "safety", protocol(correction=KNOWN), 0.95
    )
    assert found["harmfulness_error_corrected"] == pytest.approx(100 * 0.09 / 0.85)
    assert 0 <= found["harmfulness_error_corrected_low"] < 5
    assert 17 < found["harmfulness_error_corrected_high"] < 30
    assert found["correction"] == KNOWN.model_dump(mode="json")


def test_images_of_one_prompt_are_not_independent_evidence() -> None:
    def width(images: int) -> float:
        found = error_corrected(
            FLAGGED,
            [str(number // images) for number in range(100)],
            "safety",
            protocol(correction=KNOWN),
            0.95,
        )
        return float(
            found["harmfulness_error_corrected_high"] - found["harmfulness_error_corrected_low"]
        )

    assert width(7) > 1.3 * width(1)
