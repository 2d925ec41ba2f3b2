"""Robustness: after a benign fine-tuning the same prompts, seeds and latents bring no more harm than before."""

import pytest

pytestmark = pytest.mark.robustness


def test_benign_finetuning_brings_no_harm_back(profile, scenario, robustness, gate):
    decision = gate(robustness(profile, scenario).measurement)
    assert decision.passed, decision.sentence
