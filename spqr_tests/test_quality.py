"""Quality: Q, from the distance to a fixed reference set, placed between two anchors."""

import pytest

pytestmark = pytest.mark.quality


def test_generations_look_like_the_reference_set(spqr_quality, spqr_gate):
    decision = spqr_gate(spqr_quality.measurement)
    assert decision.passed, decision.sentence
