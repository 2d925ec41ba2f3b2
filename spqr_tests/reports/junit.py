"""JUnit XML as viewers read it.

GitLab and Azure show a failure's text and no properties. GitLab keeps one case of each name, takes
the first attachment of a failed one, gives up a file in which a case has two `system-out`, and
reads 30 MB. Azure cuts names after 512 characters. Jenkins' xUnit plugin refuses properties inside
of a case (junit-10.xsd), so that the suite's own are moved out of it.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from spqr_tests import quotes
from spqr_tests.run.properties import COST, SNAPSHOT

LARGEST = 28_000_000
"""Bytes of the file."""
LONGEST_NAME = 512
"""Characters of a case's class and name, with the dot between them."""
LONGEST_TEXT = 20_000
"""Characters of one text."""
_LONGEST_CLASS = 200
_LONGEST_MESSAGE = 1000
_LEAST_TEXT = 200
_OURS = "spqr:"
_LEFT_OUT = (COST, SNAPSHOT)
"""What only the controller needs."""
_RESULTS = ("failure", "error")
_STREAMS = ("system-out", "system-err")
# https://www.w3.org/TR/xml/#charsets, without the characters that it discourages.
_ILLEGAL = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]"
)


class Shown(NamedTuple):
    """What a viewer shows of a failed case."""

    text: str
    """In the place of the failure's text."""
    attachments: Sequence[str] = ()
    """Paths of files, as the viewer looks for them."""


def readable(
    xml: bytes,
    shown: Callable[[Mapping[str, str]], Shown | None],
    files: Sequence[str],
    about: Mapping[str, str],
) -> bytes:
    """The file that pytest wrote, for viewers.

    `shown` is called with the properties of each failed case. `files` are attached to each case
    that failed or broke, after its own. `about` becomes properties of the suite. `ET.ParseError`
    where `xml` is none.
    """
    root = ET.fromstring(xml)  # noqa: S314  pytest's own file of this run
    names: set[str] = set()
    for suite in root.iter("testsuite"):
        moved = [(f"{_OURS}{name}", quotes.line(value)) for name, value in about.items()]
        for case in suite.findall("testcase"):
            own = list(_properties(case))
            _say(case, shown(dict(own)), files)
            _name(case, names)
            moved += own
        _keep(suite, moved)
    _bound(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def legal(text: str) -> str:
    r"""Text that may be in an XML file; other characters become escapes.

    >>> legal("a" + chr(0))
    'a\\x00'
    """
    return _ILLEGAL.sub(lambda found: ascii(found[0])[1:-1], text)


def _properties(case: ET.Element) -> Iterator[tuple[str, str]]:
    """Take the suite's own properties out of a case."""
    for held in case.findall("properties"):
        for one in held.findall("property"):
            name = one.get("name", "")
            if name.startswith(_OURS):
                held.remove(one)
                yield name, one.get("value", "")
        if not len(held):
            case.remove(held)


def _say(case: ET.Element, shown: Shown | None, files: Sequence[str]) -> None:
    """Put the text into the failure, and all that a case prints into one element each."""
    results = [one for tag in _RESULTS for one in case.findall(tag)]
    attached: list[str] = []
    if results:
        own = shown.attachments if shown else ()
        attached = [f"[[ATTACHMENT|{path}]]" for path in (*own, *files) if _is_plain(path)]
    for one in results:
        if shown is not None and one.tag == "failure":
            one.text = shown.text
        text, message = one.text or one.get("message") or "", one.get("message") or ""
        one.text = _cut(quotes.lines(text), LONGEST_TEXT)
        one.set("message", _cut(quotes.lines(message), _LONGEST_MESSAGE))
    for tag in _STREAMS:
        held = case.findall(tag)
        texts = [_cut("\n".join(one.text or "" for one in held), LONGEST_TEXT)]
        texts += attached if tag == "system-out" else []
        for one in held:
            case.remove(one)
        if any(texts):
            ET.SubElement(case, tag).text = "\n".join(one for one in texts if one)


def _is_plain(path: str) -> bool:
    """Whether a path can be in an attachment's line."""
    return "]" not in path and "|" not in path and path.isprintable()


def _name(case: ET.Element, names: set[str]) -> None:
    """Give a case a class and a name that no other has, and that no viewer cuts."""
    holder = _short(case.get("classname", ""), _LONGEST_CLASS)
    room = LONGEST_NAME - len(holder) - 1
    whole = case.get("name", "")
    name, again = _short(whole, room), 1
    while f"{holder}.{name}" in names:
        again += 1
        number = f" ({again})"
        name = _short(whole, room - len(number)) + number
    names.add(f"{holder}.{name}")
    case.set("classname", holder)
    case.set("name", name)


def _short(name: str, longest: int) -> str:
    """A name cut so that two different ones stay different."""
    if len(name) <= longest:
        return name
    end = f"...{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return name[: longest - len(end)] + end


def _cut(text: str, longest: int) -> str:
    text = legal(text)
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def _keep(suite: ET.Element, moved: Iterable[tuple[str, str]]) -> None:
    """Add properties to a suite."""
    held = suite.find("properties")
    if held is None:
        held = ET.Element("properties")
        suite.insert(0, held)
    for name, value in moved:
        if name not in _LEFT_OUT:
            ET.SubElement(held, "property", name=name, value=legal(value))


def _bound(root: ET.Element) -> None:
    """Leave out of a file that is too large first the properties, then the ends of texts."""
    if _size(root) <= LARGEST:
        return
    for held in root.findall(".//testsuite/properties"):
        for one in held.findall("property"):
            if one.get("name", "").startswith(_OURS):
                held.remove(one)
        said = "the file would be too large for viewers; report.json has what is missing here"
        ET.SubElement(held, "property", name=f"{_OURS}left out", value=said)
    over = _size(root) - LARGEST
    if over <= 0:
        return
    texts = [one for one in root.iter() if one.text]
    # A character has at most four bytes, or five as an entity.
    room = LARGEST - (_size(root) - sum(len(ET.tostring(one)) for one in texts))
    longest = max(_LEAST_TEXT, room // (6 * len(texts)) - 100)
    for one in texts:
        one.text = _cut(one.text or "", longest)


def _size(root: ET.Element) -> int:
    return len(ET.tostring(root, encoding="utf-8"))
