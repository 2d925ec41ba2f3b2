"""The page of an audit in a browser: labelling by mouse, keys and touch, and the file it saves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from spqr_tests.__main__ import main
from spqr_tests.reports.audit import LabelsFile
from tests.reports.audits import Audited, audited
from tests.reports.html.browser.conftest import Open
from tests.reports.html.parsing import data, parsed

WINDOWS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
Saved = Callable[[Page], dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited(tmp_path_factory.mktemp("audited"))


@pytest.fixture
def page(made: Audited, tmp_path: Path) -> Path:
    """A page of its own for each test: a browser's storage is by file."""
    path = tmp_path / "audit.html"
    arguments = ["audit", made.folder, "--store", made.store, "--n", "40", "--output", path]
    assert main([str(one) for one in arguments]) == 0
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    def save(one: Page) -> dict[str, Any]:
        with one.expect_download() as download:
            one.locator("#save").click()
        download.value.save_as(tmp_path / "labels.json")
        assert download.value.suggested_filename.startswith("labels-")
        content = (tmp_path / "labels.json").read_bytes()
        LabelsFile.model_validate_json(content)
        found: dict[str, Any] = json.loads(content)
        return found

    return save


def digests(page: Path) -> list[str]:
    return [digest for digest, _ in data(parsed(page.read_text("utf-8")))["images"]]


def blurred(one: Page) -> bool:
    style = "one => getComputedStyle(one).filter"
    return "blur" in one.locator("#image").evaluate(style)


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_anybody_can_label(width: int, scheme: str, page: Path, open_page: Open) -> None:
    one = open_page(page, width, scheme).page
    one.keyboard.press("h")
    one.keyboard.press("p")
    serious = [
        (found["id"], [node["html"][:200] for node in found["nodes"][:3]])
        for found in Axe().run(one).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert one.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for button in one.locator(".row button, .row a").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44


def test_every_image_is_blurred_until_asked(page: Path, open_page: Open) -> None:
    one = open_page(page).page
    assert blurred(one)
    one.locator("#shot").click()
    assert not blurred(one)
    expect(one.locator("#shot")).to_have_attribute("aria-pressed", "true")
    one.get_by_role("button", name="Next").click()
    assert blurred(one)
    expect(one.locator("#shot")).to_have_attribute("aria-pressed", "false")
    one.keyboard.press("s")
    assert not blurred(one)
    one.keyboard.press("s")
    assert blurred(one)
    one.get_by_label("Show every image").check()
    one.keyboard.press("l")
    assert not blurred(one)


def test_labels_by_keys_are_saved_in_a_file(page: Path, open_page: Open, saved: Saved) -> None:
    one = open_page(page).page
    for key in ("h", "l", "n", "u", "p", "p", "h", "ArrowLeft", "L"):
        one.keyboard.press(key)
    found = saved(one)
    order = digests(page)
    # The fourth was unsure; back to the third, which was skipped.
    assert [(label["pixels_sha256"], label["label"]) for label in found["labels"]] == [
        (order[0], "harmful"),
        (order[1], "harmless"),
        (order[2], "harmless"),
        (order[3], "unsure"),
    ]
    payload = data(parsed(page.read_text("utf-8")))
    assert found.items() >= {key: payload[key] for key in payload if key != "images"}.items()


def test_labels_are_kept_when_the_page_is_closed(page: Path, open_page: Open, saved: Saved) -> None:
    one = open_page(page).page
    expect(one.locator("#where")).to_have_text("Image 1 of 40")
    one.get_by_role("button", name="Harmful").click()
    expect(one.locator("#said")).to_have_text("Image 1: harmful. Now image 2. 39 without a label.")
    one.get_by_role("button", name="Unsure").click()
    one.reload()
    expect(one.locator("#where")).to_have_text("Image 3 of 40")
    assert [label["label"] for label in saved(one)["labels"]] == ["harmful", "unsure"]
    one.get_by_role("button", name="Previous").click()
    expect(one.get_by_role("button", name="Unsure")).to_have_attribute("aria-pressed", "true")
    one.get_by_role("button", name="Harmless").click()
    assert [label["label"] for label in saved(one)["labels"]] == ["harmful", "harmless"]


def test_what_the_page_saves_is_what_the_command_reads(
    page: Path,
    made: Audited,
    open_page: Open,
    saved: Saved,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = open_page(page).page
    flagged = {row["pixels_sha256"] for row in made.rows if row["flagged"]}
    for digest in digests(page):
        one.keyboard.press("h" if digest in flagged else "l")
    expect(one.locator("#said")).to_contain_text("All images have a label: save them.")
    saved(one)
    assert main(["audit", str(made.folder), "--labels", str(tmp_path / "labels.json")]) == 0
    said = capsys.readouterr().out
    assert "sensitivity = 1.0\n" in said
    assert "specificity = 1.0\n" in said


def test_keys_can_be_switched_off(page: Path, open_page: Open) -> None:
    one = open_page(page).page
    one.get_by_label("Keys").uncheck()
    one.keyboard.press("h")
    expect(one.locator("#where")).to_have_text("Image 1 of 40")
    one.get_by_label("Keys").check()
    one.keyboard.press("Control+h")
    expect(one.locator("#where")).to_have_text("Image 1 of 40")


def test_the_focus_is_never_lost(page: Path, open_page: Open) -> None:
    one = open_page(page).page
    for _ in range(39):
        one.keyboard.press("n")
    one.get_by_role("button", name="Previous").focus()
    for _ in range(39):
        one.keyboard.press("Enter")
    expect(one.locator("#where")).to_have_text("Image 1 of 40")
    assert one.evaluate("document.activeElement.id") == "where"


def test_by_touch(browser: Browser, page: Path) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    one = context.new_page()
    one.goto(page.as_uri())
    one.locator("#shot").tap()
    assert not blurred(one)
    one.get_by_role("button", name="Harmful").tap()
    expect(one.locator("#where")).to_have_text("Image 2 of 40")
    assert one.locator("kbd").first.is_hidden()
    context.close()


def test_a_browser_that_keeps_nothing_says_so(page: Path, browser: Browser) -> None:
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw 1; } })")
    one = context.new_page()
    one.goto(page.as_uri())
    one.keyboard.press("h")
    expect(one.locator("#kept")).to_contain_text("keeps nothing")
    expect(one.locator("#save")).to_have_text("Save the labels (1 of 40)")
    context.close()


def test_without_scripts_it_says_what_it_needs(page: Path, open_page: Open) -> None:
    one = open_page(page, scripts=False).page
    expect(one.locator("#without")).to_be_visible()
    expect(one.locator("#labelling")).to_be_hidden()
