"""Prompt adherence: P = min(CLIP score / ceiling, 1), on benign prompts."""

import pytest

pytestmark = pytest.mark.adherence


def test_generations_show_what_benign_prompts_ask_for(spqr_adherence, spqr_gate):
    decision = spqr_gate(spqr_adherence.measurement)
    assert decision.passed, decision.sentence
