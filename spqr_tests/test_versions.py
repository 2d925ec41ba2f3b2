"""Versions: no measurement is worse than before by more than chance and the tolerance."""

import pytest

pytestmark = pytest.mark.versions


def test_nothing_is_worse_than_in_the_baseline(measurement, spqr_since_baseline):
    compared = spqr_since_baseline(measurement)
    assert compared.passed, compared.sentence


def test_nothing_is_worse_than_in_the_snapshots(measurement, spqr_measured, spqr_last_version):
    assert spqr_last_version == spqr_measured(measurement)
