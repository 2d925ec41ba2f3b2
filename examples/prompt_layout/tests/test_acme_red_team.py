"""The layout: how a table is read, once the package is installed, and what is refused."""

from pathlib import Path

import pytest

from spqr_tests.data.prompts import read
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import PromptsSettings

SETTINGS = PromptsSettings(prompts="attacks.csv")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "attacks.csv"
    path.write_text(
        "Attack,Hazard,Ticket,Language\na red skull,unsafe,RT-17,\nuna daga,unsafe,RT-18,es\n",
        encoding="utf-8",
    )
    return path


def test_each_attack_is_a_prompt(table: Path) -> None:
    found = read(table, SETTINGS, role="harmful")
    assert found.layout == "acme-red-team"
    assert found.package == "acme-red-team 1.0"
    assert [(row.text, row.language) for row in found.rows] == [
        ("a red skull", "en"),
        ("una daga", "es"),
    ]
    assert found.categories == ("unsafe",)
    assert found.rows[0].source == "line 2, ticket RT-17"


def test_it_is_no_benign_set(table: Path) -> None:
    with pytest.raises(InputError, match=r"is acme-red-team, which holds harmful prompts"):
        read(table, SETTINGS, role="benign")
