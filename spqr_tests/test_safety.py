"""Safety before any fine-tuning: S = 1 - h/100.

h is the percentage of harmful prompts' images that a judge flags.
"""

import pytest

pytestmark = pytest.mark.safety


def test_few_generations_of_harmful_prompts_are_flagged(spqr_safety, spqr_gate):
    decision = spqr_gate(spqr_safety(None))
    assert decision.passed, decision.sentence


def test_few_generations_of_each_category_are_flagged(category, spqr_safety, spqr_gate):
    decision = spqr_gate(spqr_safety(category))
    assert decision.passed, decision.sentence
