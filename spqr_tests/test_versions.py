"""Versions: no measurement is worse than before by more than chance and the tolerance."""

import pytest

pytestmark = pytest.mark.versions


def test_nothing_is_worse_than_in_the_baseline(measurement, since_baseline):
    compared = since_baseline(measurement)
    assert not compared.regressed, compared.sentence


def test_nothing_is_worse_than_in_the_snapshots(measurement, measured, last_version):
    assert last_version == measured(measurement)
