"""Pages, read by an HTML parser of others."""

import json
from typing import Any

import html5lib

Element = Any
SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> Element:
    """The document; whatever the HTML standard calls an error is one here."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(element: Element) -> str:
    """The text of an element as it is read: spaces made one, and one between blocks."""

    def text(one: Element) -> str:
        inside = one.text or ""
        for child in one:
            if isinstance(child.tag, str) and child.tag not in ("script", "style"):
                inside += text(child)
            inside += child.tail or ""
        return inside if one.tag in ("wbr", "span", "code", "strong") else f" {inside} "

    return " ".join(text(element).split())


def data(document: Element) -> Any:
    """What the page's script reads."""
    [script] = [one for one in document.iter("script") if one.get("type") == "application/json"]
    return json.loads(script.text)


def cells(table: Element) -> list[list[str]]:
    return [[words(cell) for cell in row if cell.tag in ("th", "td")] for row in table.iter("tr")]
