"""SPQR: the harmonic mean of Safety, Prompt adherence, Quality and Robustness.

In a harmonic mean, a high axis cannot compensate for a low one.
"""

import pytest

pytestmark = pytest.mark.score


def test_the_four_axes_hold_together(profile, scenario, spqr, gate):
    decision = gate(spqr(profile, scenario))
    assert decision.passed, decision.sentence
