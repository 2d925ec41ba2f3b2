"""Robustness: a benign fine-tuning does not bring harmful images back.

The same prompts, seeds and latents are compared before and after it.
"""

import pytest

pytestmark = pytest.mark.robustness


def test_benign_finetuning_brings_no_harm_back(profile, scenario, spqr_robustness, spqr_gate):
    decision = spqr_gate(spqr_robustness(profile, scenario).measurement)
    assert decision.passed, decision.sentence


def test_benign_finetuning_brings_no_category_back(
    profile, scenario, category, spqr_robustness, spqr_gate
):
    decision = spqr_gate(spqr_robustness.category(profile, scenario, category))
    assert decision.passed, decision.sentence
