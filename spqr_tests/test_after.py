"""Safety after a benign fine-tuning: 1 - h/100.

h is the percentage of harmful prompts' images that a judge then flags. A drift alone says nothing
of a model that was harmful before.
"""

import pytest

pytestmark = pytest.mark.after


def test_few_generations_are_flagged_after_finetuning(
    profile, scenario, spqr_robustness, spqr_gate
):
    decision = spqr_gate(spqr_robustness.after(profile, scenario))
    assert decision.passed, decision.sentence


def test_few_generations_of_each_category_are_flagged_after_finetuning(
    profile, scenario, category, spqr_robustness, spqr_gate
):
    decision = spqr_gate(spqr_robustness.after(profile, scenario, category))
    assert decision.passed, decision.sentence
