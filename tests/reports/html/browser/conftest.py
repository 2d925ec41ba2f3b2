"""Chromium, as it is installed on this machine, without a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.browser import started


@dataclass
class Opened:
    """A page, and what happened that must not happen."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    """Errors and warnings of the console, dialogs, and requests beyond the page itself."""

    def cards(self) -> Any:
        """The contact sheet's pairs."""
        return self.page.locator("#sheet > li")

    def count(self) -> int:
        """How many pairs the filters leave, as the page says."""
        said = self.page.locator("#sheet-count").inner_text()
        return int(said.split(" of ")[1].split()[0])


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; whoever asks for these tests needs one."""
    with started() as found:
        yield found


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a file in a window of its own; at the end of the test, nothing may have gone wrong."""
    opened: list[Opened] = []

    def begin(
        path: Path, width: int = 1280, scheme: str = "light", *, scripts: bool = True
    ) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=scripts,
        )
        one = Opened(context.new_page())
        address = path.as_uri()

        def request(made: Any) -> None:
            if made.url != address and not made.url.startswith("data:image/webp"):
                one.wrong.append(f"request {made.url}")

        def dialog(shown: Any) -> None:
            one.wrong.append(f"dialog {shown.message}")
            shown.dismiss()

        one.page.on("console", lambda said: one.wrong.append(f"{said.type} {said.text}"))
        one.page.on("pageerror", lambda error: one.wrong.append(f"error {error}"))
        one.page.on("request", request)
        one.page.on("dialog", dialog)
        one.page.goto(address)
        opened.append(one)
        return one

    yield begin
    wrong = [said for one in opened for said in one.wrong]
    for one in opened:
        one.page.context.close()
    assert wrong == []
