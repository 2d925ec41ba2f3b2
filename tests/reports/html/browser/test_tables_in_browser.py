"""The pages of `leaderboard` and `history` in a browser, with names that nobody wants.

The fixture that opens a page fails where its console, a dialog or a request says anything.
"""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from spqr_tests.reports.tables.text import short
from tests.reports.conftest import HOSTILE, Command
from tests.reports.html.browser.conftest import Open


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("what", ["leaderboard", "history"])
def test_anybody_can_read_it_and_names_do_no_harm(
    what: str,
    width: int,
    scheme: str,
    command: Command,
    hostile: list[Path],
    tmp_path: Path,
    open_page: Open,
) -> None:
    path = tmp_path / "page.html"
    assert command(what, *hostile, "--format", "html", "--output", path)[0] == 0
    opened = open_page(path, width, scheme)
    shown = opened.page.locator("section").first.locator("td code").all_text_contents()
    assert sorted(shown) == sorted(short(name) for name in HOSTILE.values())
    assert opened.page.locator("svg polygon, svg polyline").count() >= 5
    violations = Axe().run(opened.page).response["violations"]
    serious = [one["id"] for one in violations if one["impact"] in ("serious", "critical")]
    assert serious == []
    wider = "document.documentElement.scrollWidth - innerWidth"
    assert opened.page.evaluate(wider) <= 0
