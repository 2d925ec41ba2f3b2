"""Links between the pages lead somewhere, on a code host as on the site, which shows each page."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from benchmarks.numbers import DOCS

CHECKOUT = DOCS.parent
PAGES = [*CHECKOUT.glob("*.md"), *DOCS.rglob("*.md"), *CHECKOUT.glob("fixtures/**/*.md")]
PAGES += CHECKOUT.glob("examples/**/*.md")
NAV = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    parser = MarkdownIt("commonmark").enable("table")
    return tuple(parser.parse(page.read_text(encoding="utf-8")))


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and pictures."""
    for token in tokens(page):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if isinstance(target, str):
                yield target


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that code hosts give the headings of a page."""
    found = tokens(page)
    texts = [
        "".join(one.content for one in inline.children or ())
        for heading, inline in pairwise(found)
        if heading.type == "heading_open"
    ]
    return frozenset(re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in texts)


def in_nav(node: object) -> Iterator[str]:
    """The pages of the site's menu."""
    if isinstance(node, str):
        yield node
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from in_nav(one)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert file.exists(), link
        # The site has files alone, each where it is in the tree.
        assert file.is_file(), f"{link} is a folder: link to a page in it"
        assert file.is_relative_to(CHECKOUT), link
        if parts.fragment:
            assert parts.fragment in anchors(file), link


def test_the_menu_has_every_page_once() -> None:
    pages = sorted(str(path.relative_to(CHECKOUT)) for path in PAGES)
    assert sorted(in_nav(NAV)) == pages


def test_every_page_can_be_found_from_the_first() -> None:
    seen, new = set(), {CHECKOUT / "README.md"}
    while new:
        seen |= new
        reached = {
            (page.parent / urlsplit(one).path).resolve() for page in new for one in links(page)
        }
        new = {one for one in reached if one.suffix == ".md"} - seen
    assert {path.relative_to(CHECKOUT) for path in PAGES} - {
        path.relative_to(CHECKOUT) for path in seen
    } == set()
