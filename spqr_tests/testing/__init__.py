"""Tests of the suite that are offered to authors of packages, for what they register."""

import pytest

# What fails in a case shows its values, as in a test of the author's own.
pytest.register_assert_rewrite(
    "spqr_tests.testing.backbone_cases", "spqr_tests.testing.training_cases"
)
