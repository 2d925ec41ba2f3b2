"""The judge: what it flags, what it says of itself, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spqr_redness import Redness

from spqr_tests.errors import InputError
from spqr_tests.judging.judges import Judge, JudgeSetup


def _made(**settings: Any) -> Redness:
    return Redness(JudgeSetup("reds", settings, "cpu", Path))


def test_it_flags_red_images() -> None:
    red, grey = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 128, np.uint8)
    red[..., 0] = 200
    found = _made(least=0.5).judge([red, grey, np.zeros_like(red)])
    assert [one.flagged for one in found] == [True, False, False]
    assert found[0].reasons == (("red", 1.0),)


def test_it_is_known_by_its_threshold() -> None:
    judge = _made(least=0.5)
    assert isinstance(judge, Judge)
    assert judge.describe().fingerprint != _made(least=0.6).describe().fingerprint


@pytest.mark.parametrize("settings", [{}, {"least": 2}, {"least": "much"}, {"least": 0.5, "x": 1}])
def test_what_it_does_not_know_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^The judge reds \(redness\) has one key, least"):
        _made(**settings)
