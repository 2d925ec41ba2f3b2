"""The reference pages: what the code has now, every key and option with a sentence."""

import re
from itertools import chain

import pytest
from pydantic import BaseModel

from benchmarks import field_texts
from benchmarks.numbers import DOCS
from benchmarks.reference import keys, options
from benchmarks.reference.__main__ import PAGES
from spqr_tests.settings.protocol import Protocol
from spqr_tests.verdict import threshold_file

OPTIONS = {one.name: one for one in chain.from_iterable(options.groups().values())}
KEYS = {
    f"{table.name}.{key}{f' of {table.kind}' if table.kind else ''}": field_texts.text(
        table.model, key
    )
    for table in (*keys.protocol_tables(), *keys.threshold_tables())
    for key in table.own
}


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_what_the_code_has(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_the_options_are_those_of_the_help(pytester: pytest.Pytester) -> None:
    helped = pytester.runpytest_inprocess("--help").stdout.str()
    assert set(re.findall(r"^  (--spqr-[a-z-]+)", helped, flags=re.MULTILINE)) == set(OPTIONS)
    assert "  --model=TARGET" in helped


def test_every_key_and_option_has_a_sentence() -> None:
    said = {name: one.about for name, one in OPTIONS.items()} | KEYS
    assert len(said) > 150
    short = {
        name: text
        for name, text in said.items()
        if not re.fullmatch(r"""(?s)["'`A-Z].*\.""", text) or len(text.split()) < 3
    }
    assert short == {}


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("reference-protocol.md", Protocol),
        ("reference-thresholds.md", threshold_file.ProtocolTable),
    ],
)
def test_every_key_of_the_schema_is_a_row(name: str, model: type[BaseModel]) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGES[name](), flags=re.MULTILINE))
    schema = model.model_json_schema()
    known = {key for one in (schema, *schema["$defs"].values()) for key in one["properties"]}
    assert rows == known


def test_what_more_is_said_of_is_there() -> None:
    tables = {one.name for one in (*keys.protocol_tables(), *keys.threshold_tables())}
    assert set(keys.MORE) <= tables
    assert set(options.MORE) <= set(OPTIONS)


def test_an_option_that_a_page_names_is_there() -> None:
    for page in (*DOCS.rglob("*.md"), *DOCS.parent.glob("[!C]*.md")):
        named = set(re.findall(r"--spqr-[a-z-]*[a-z]", page.read_text(encoding="utf-8")))
        assert named <= OPTIONS.keys(), page.name
