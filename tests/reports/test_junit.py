"""JUnit XML: what Jenkins' schema allows, and what GitLab, Azure and Jenkins read."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from spqr_tests.reports import junit
from spqr_tests.reports.junit import Shown
from tests.reports.reported import HOSTILE

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))
GITLABS = 30 * 2**20
AZURES = 512


class Read(NamedTuple):
    """A case as GitLab reads it (lib/gitlab/ci/parsers/test/junit.rb)."""

    key: str
    status: str
    text: str | None
    attachment: str | None


def gitlab(xml: bytes) -> dict[str, Read]:
    """The cases by suite, class and name, of which a later one replaces an earlier one."""
    found = {}
    for suite in ET.fromstring(xml).iter("testsuite"):  # noqa: S314  our own file
        for case in suite.findall("testcase"):
            key = f"{suite.get('name')}_{case.get('classname')}_{case.get('name')}"
            status = next(
                (tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None),
                "success",
            )
            # With several, GitLab would give up the whole file.
            assert len(case.findall("system-out")) <= 1
            printed = case.findtext("system-out") or ""
            _, start, rest = printed.partition("[[ATTACHMENT|")
            attachment = rest.partition("]]")[0] if start and status == "failure" else None
            found[key] = Read(key, status, case.findtext(status), attachment)
    return found


def case(name: str, *inner: ET.Element, classname: str = "test_safety") -> ET.Element:
    made = ET.Element("testcase", classname=classname, name=name, time="0.1")
    made.extend(inner)
    return made


def failure(text: str, **attributes: str) -> ET.Element:
    made = ET.Element("failure", message=text[:100], **attributes)
    made.text = text
    return made


def printed(text: str, tag: str = "system-out") -> ET.Element:
    made = ET.Element(tag)
    made.text = text
    return made


def properties(**values: str) -> ET.Element:
    made = ET.Element("properties")
    for name, value in values.items():
        ET.SubElement(made, "property", name=name.replace("_", ":", 1), value=value)
    return made


def written(*cases: ET.Element) -> bytes:
    """What pytest writes."""
    root = ET.Element("testsuites", name="pytest tests")
    counts = {"errors": "0", "failures": "0", "skipped": "0", "tests": f"{len(cases)}"}
    suite = ET.SubElement(root, "testsuite", counts, name="pytest", time="1.234", hostname="h")
    suite.extend(cases)
    return ET.tostring(root, encoding="utf-8")


def readable(
    *cases: ET.Element,
    said: str = "said",
    attached: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
) -> bytes:
    def shown(found: Mapping[str, str]) -> Shown | None:
        return Shown(said, attached) if "spqr:decision" in found else None

    made = junit.readable(written(*cases), shown, files, {"model": said, "verdict": said})
    SCHEMA.validate(made.decode())
    assert len(made) < GITLABS
    return made


def test_the_text_says_what_the_case_has_to_say() -> None:
    own = properties(spqr_decision="{}")
    (read,) = gitlab(readable(case("a", own, failure("AssertionError")), said="0.7 < 0.9")).values()
    assert (read.status, read.text, read.attachment) == ("failure", "0.7 < 0.9", None)


def test_properties_are_the_suites_and_users_own_stay() -> None:
    made = written(case("a", properties(spqr_decision="{}", spqr_cost="{}", user="1")))
    root = ET.fromstring(junit.readable(made, lambda _: None, (), {"model": "m"}))  # noqa: S314
    suite = root.find("testsuite")
    assert suite is not None
    held = {one.get("name"): one.get("value") for one in suite.findall("properties/property")}
    assert held == {"spqr:model": "m", "spqr:decision": "{}"}
    assert [one.get("name") for one in suite.findall("testcase/properties/property")] == ["user"]


def test_attachments_are_in_one_element_with_what_was_printed() -> None:
    own = properties(spqr_decision="{}")
    inner = (own, failure("x"), printed("one"), printed("two"), printed("e", "system-err"))
    made = readable(case("a", *inner), attached=("out/1.png", "out/2.png"), files=("out/r.json",))
    root = ET.fromstring(made)  # noqa: S314  our own file
    assert root.findtext(".//system-out") == (
        "one\ntwo\n[[ATTACHMENT|out/1.png]]\n[[ATTACHMENT|out/2.png]]\n[[ATTACHMENT|out/r.json]]"
    )
    assert root.findtext(".//system-err") == "e"
    (read,) = gitlab(made).values()
    assert read.attachment == "out/1.png"


def test_a_case_that_passed_attaches_nothing() -> None:
    made = readable(case("a", properties(spqr_decision="{}")), files=("out/report.json",))
    assert b"ATTACHMENT" not in made


@pytest.mark.parametrize("path", ["a]]b.png", "a|b.png", "a\nb.png", "a\u202eb.png"])
def test_a_path_that_would_end_the_line_is_not_attached(path: str) -> None:
    own = properties(spqr_decision="{}")
    assert b"ATTACHMENT" not in readable(case("a", own, failure("x")), attached=(path,))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_makes_a_file_that_is_valid_and_says_it(text: str) -> None:
    own = properties(spqr_decision=json.dumps({"of": text}))
    (read,) = gitlab(readable(case("a", own, failure("x")), said=text)).values()
    assert read.text is not None
    assert re.findall(r"\w+", text)[0][:500] in read.text
    assert read.attachment is None
    assert read.status == "failure"


def test_long_names_stay_different_and_below_azures_limit() -> None:
    long = "a" * 5000
    made = readable(
        *(case(f"{long}{number}", classname=long) for number in range(20)),
        *(case(f"test[{long}{number}]") for number in range(20)),
        *(case("same") for _ in range(20)),
        case("same (2)"),
    )
    read = gitlab(made)
    assert len(read) == 61
    names = [
        f"{one.get('classname')}.{one.get('name')}"
        for one in ET.fromstring(made).iter("testcase")  # noqa: S314  our own file
    ]
    assert max(map(len, names)) == AZURES
    assert len(set(names)) == 61


def test_ordinary_names_stay() -> None:
    made = readable(case("test_a[lite-general]"), case("test_a[lite-artistic]"))
    assert list(gitlab(made)) == [
        f"pytest_test_safety_test_a[lite-{one}]" for one in ("general", "artistic")
    ]


@pytest.mark.parametrize("count", [200, 3000])
def test_the_file_stays_below_gitlabs_limit(count: int) -> None:
    """22 variants with curves and lists of images, and thousands of failures with long texts."""
    large = json.dumps({"of": "x" * 200_000})
    own = [properties(spqr_decision=large if number < 200 else "{}") for number in range(count)]
    made = readable(
        *(case(f"t{number}", one, failure("<>&" * 7000)) for number, one in enumerate(own)),
        said="<>&\u00e4" * 10_000,
        attached=("out/1.png",),
    )
    read = gitlab(made)
    assert len(read) == count
    assert {one.attachment for one in read.values()} == {"out/1.png"}
    assert b"report.json has what is missing here" in made
    texts = [one.text for one in read.values()]
    assert all(one is not None and "characters left out" in one for one in texts)


def test_what_is_no_xml_is_not_read() -> None:
    with pytest.raises(ET.ParseError):
        junit.readable(b"not xml", lambda _: None, (), {})
