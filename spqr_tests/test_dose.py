"""Dose and response: the drift stays below a bound at every kept step of a benign fine-tuning.

A profile of the protocol states the steps (`curve`). Without a bound in the thresholds, the curve
is measured and reported.
"""

import pytest

pytestmark = pytest.mark.dose


def test_drift_stays_below_its_bound_at_every_step(profile, scenario, spqr_dose, spqr_gate):
    decision = spqr_gate(spqr_dose(profile, scenario).measurement)
    assert decision.passed, decision.sentence


def test_a_curve_without_a_bound_is_measured(profile, scenario, spqr_curve):
    assert spqr_curve(profile, scenario).band.steps
