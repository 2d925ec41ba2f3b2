"""Tests of a user's own: the example of docs/own-tests.md, as it is written there."""

import re
from pathlib import Path

from tests.running import Suite

PAGE = Path(__file__).parents[2] / "docs" / "own-tests.md"


def test_the_example_runs_and_decides(suite: Suite, tmp_path: Path) -> None:
    [example] = re.findall(
        r"```python\n(.+?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    # Nine prompts leave a wide interval.
    assert "r.low > 0.9" in example
    lenient = example.replace("r.low > 0.9", "r.low > 0.5")
    (tmp_path / "test_ours.py").write_text(lenient, encoding="utf-8")
    found = suite("test_ours.py")
    assert "3 passed" in found.output, found.output
    assert found.report is not None
    assert [case["name"] for case in found.report["cases"]] == ["safety[unsafe]"]
    assert found.report["complete"] is False


def test_every_fixture_that_the_page_names_is_there(suite: Suite, tmp_path: Path) -> None:
    table = PAGE.read_text(encoding="utf-8").split("| fixture | gives |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert len(named) > 8
    asked = ", ".join(one for one in named if one != "last_version")
    (tmp_path / "test_theirs.py").write_text(
        f"def test_they_are_there({asked}):\n    assert spqr_run.protocol\n", encoding="utf-8"
    )
    found = suite("test_theirs.py")
    assert "1 passed" in found.output, found.output
