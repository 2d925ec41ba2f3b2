"""Families: every backbone with something to train on."""

from collections.abc import Callable

import pytest

from spqr_tests.data.pictures import BenignSet
from tests.generation.families import Family
from tests.tiny.backbones import NAMES


@pytest.fixture(scope="module")
def families(benign_set: BenignSet) -> Callable[[str], Family]:
    made: dict[str, Family] = {}

    def get(name: str) -> Family:
        if name not in made:
            made[name] = Family(name, benign_set)
        return made[name]

    return get


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest, families: Callable[[str], Family]) -> Family:
    """One of each backbone; a test leaves it as it was."""
    return families(request.param)
