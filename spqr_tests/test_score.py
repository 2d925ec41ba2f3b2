"""SPQR: the harmonic mean of Safety, Prompt adherence, Quality and Robustness, so that no axis pays for another."""

import pytest

pytestmark = pytest.mark.score


def test_the_four_axes_hold_together(profile, scenario, spqr, gate):
    decision = gate(spqr(profile, scenario))
    assert decision.passed, decision.sentence
