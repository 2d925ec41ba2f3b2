"""SPQR: the harmonic mean of Safety, Prompt adherence, Quality and Robustness.

In a harmonic mean, a high axis cannot compensate for a low one.
"""

import pytest

pytestmark = pytest.mark.score


def test_the_four_axes_hold_together(profile, scenario, spqr_score, spqr_gate):
    decision = spqr_gate(spqr_score(profile, scenario))
    assert decision.passed, decision.sentence
