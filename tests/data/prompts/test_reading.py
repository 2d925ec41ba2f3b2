"""Reading: what a row of the user's needs, derived seeds, and what is left out and said."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from spqr_tests.data.prompts import Prompt
from spqr_tests.data.prompts import read as read_prompts
from spqr_tests.data.prompts.seeds import derived as derived_seed
from spqr_tests.errors import InputError
from tests.data.prompts import published
from tests.data.prompts.published import read, rows_as_csv, settings, write

GOOD = {"prompt": "a red heart", "seed": 7, "category": "unsafe", "language": "de"}


def _file(folder: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    return write(folder / "set.jsonl", "\n".join(lines) + "\n")


# A plain row


def test_a_row_is_read_with_its_category_and_language(tmp_path: Path) -> None:
    found = read(_file(tmp_path, GOOD))
    assert found.rows == (Prompt("a red heart", 7, ("unsafe",), "de"),)
    assert (found.layout, found.notes, found.rows[0].source) == ("", (), "line 1")


def test_a_benign_row_needs_no_category_and_is_english(tmp_path: Path) -> None:
    found = read(_file(tmp_path, {"prompt": "a ring", "seed": 0}), harmful=False)
    assert found.rows == (Prompt("a ring", 0),)
    assert (found.rows[0].language, found.categories) == ("en", ())


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"prompt": "a", "seed": 1}, Prompt("a", 1)),
        ({"text": "a", "seed": 1}, Prompt("a", 1)),
        ({"caption": "a", "seed": 1}, Prompt("a", 1)),
        ({"prompt": "a", "seed": 1, "tag": "b, c"}, Prompt("a", 1, ("b, c",))),
        ({"prompt": "a", "seed": 1, "categories": "b, c"}, Prompt("a", 1, ("b", "c"))),
        ({"prompt": "a", "seed": 1, "lang": "fr"}, Prompt("a", 1, language="fr")),
        ({"text": "a", "evaluation_seed": 1}, Prompt("a", 1)),
        ({"prompt": "a", "sd_seed": 1, "sd_guidance_scale": 3}, Prompt("a", 1, guidance=3.0)),
        ({"prompt": "a", "seed": 1, "guidance": 2.5}, Prompt("a", 1, guidance=2.5)),
        ({"prompt": "a", "seed": 1, "guidance_scale": 0}, Prompt("a", 1, guidance=0.0)),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, dict) else "",
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_a_plain_file_may_name_its_columns_in_several_ways(
    tmp_path: Path, columns: dict[str, Any], expected: Prompt, suffix: str
) -> None:
    text = {
        ".jsonl": json.dumps(columns),
        ".json": json.dumps([columns]),
        ".csv": rows_as_csv(columns),
        ".tsv": rows_as_csv(columns, delimiter="\t"),
    }[suffix]
    assert read(write(tmp_path / f"set{suffix}", text), harmful=False).rows == (expected,)


def test_categories_may_be_a_list(tmp_path: Path) -> None:
    row = {"prompt": "a", "seed": 1, "categories": ["b", " c ", "b", ""]}
    assert read(_file(tmp_path, row)).rows == (Prompt("a", 1, ("b", "c")),)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"prompt": "a", "text": "b"},
            "has the columns prompt and text, either of which may hold the prompt",
        ),
        (
            {"prompt": "a", "seed": 1, "sd_seed": 1},
            "seed and sd_seed, either of which may hold the seed",
        ),
        (
            {"prompt": "a", "category": "b", "tag": "c"},
            "category and tag, either of which may hold the category",
        ),
        (
            {"prompt": "a", "guidance": 1, "guidance_scale": 1},
            "guidance and guidance_scale, either of which",
        ),
    ],
    ids=str,
)
def test_two_columns_for_one_thing_are_refused(
    tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read(_file(tmp_path, columns))


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    found = read(_file(tmp_path, GOOD, "", "   ", GOOD | {"seed": 8}))
    assert [(row.seed, row.source) for row in found.rows] == [(7, "line 1"), (8, "line 4")]


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x7f", "é 漢 🜍", "\r", '"', "\n"], ids=ascii)
def test_a_prompt_may_hold_any_character_that_its_file_allows(tmp_path: Path, mark: str) -> None:
    row = GOOD | {"prompt": f"a{mark}b"}
    for path in (_file(tmp_path, row), write(tmp_path / "set.csv", rows_as_csv(row))):
        found = read(path)
        assert found.rows == (Prompt(f"a{mark}b", 7, ("unsafe",), "de"),)
        assert len(found.digest) == 64


BAD = {
    "no JSON": ("{'prompt': 1}", "line 2 is not JSON"),
    "nested without end": ("[" * 100_000, "line 2 is not JSON"),
    "no number": ('{"prompt": "a", "seed": NaN}', "line 2 is not JSON"),
    "one key twice": ('{"prompt": "a", "prompt": "b", "seed": 1}', "line 2 is not JSON"),
    "a list": ("[1]", "line 2 is not a JSON object with prompt and seed"),
    "no prompt": (
        {"seed": 1, "category": "a"},
        "line 2 has no prompt; an empty one measures nothing",
    ),
    "an empty prompt": (GOOD | {"prompt": ""}, "line 2 has no prompt"),
    "a prompt of spaces": (GOOD | {"prompt": " \t"}, "line 2 has no prompt"),
    "a prompt that is no text": (GOOD | {"prompt": 3}, "line 2 has no prompt"),
    "half a character": (
        '{"prompt": "a \\ud83d", "seed": 1, "category": "a"}',
        "line 2 holds half a character",
    ),
    "a NUL character": (GOOD | {"prompt": "a\0b"}, "line 2 holds a NUL character in prompt"),
    "a prompt without end": (
        GOOD | {"prompt": "a" * 100_001},
        "line 2 has a prompt of 100001 characters",
    ),
    "a seed that is true": (
        GOOD | {"seed": True},
        "line 2 has the seed True; expected a whole number from 0",
    ),
    "a seed below 0": (GOOD | {"seed": -1}, "line 2 has the seed -1"),
    "a seed with a point": (GOOD | {"seed": 1.0}, r"line 2 has the seed 1\.0"),
    "a seed that is text": (GOOD | {"seed": "1"}, "line 2 has the seed '1'"),
    "a seed beyond 63 bits": (GOOD | {"seed": 2**63}, f"line 2 has the seed {2**63}"),
    "a guidance below 0": (
        GOOD | {"guidance": -1},
        "line 2 has the guidance -1; expected a number from 0",
    ),
    "a guidance that is true": (GOOD | {"guidance": True}, "line 2 has the guidance True"),
    "a guidance that is text": (GOOD | {"guidance": "7"}, "line 2 has the guidance '7'"),
    "a guidance without end": (
        GOOD | {"guidance": 10**400},
        "line 2 has the guidance a number of 1329 bits",
    ),
    "no category": (
        {"prompt": "a", "seed": 1},
        "line 2 has no category; a harmful prompt belongs to one",
    ),
    "an empty category": (GOOD | {"category": ""}, "line 2 has no category"),
    "a category that is no text": (GOOD | {"category": ["unsafe"]}, "line 2 has no category"),
    "a category with brackets": (GOOD | {"category": "a]"}, r"line 2 has the category 'a\]'"),
    "a language that is no text": (GOOD | {"language": 3}, "line 2 has the language 3"),
    "a column twice": (GOOD | {"Prompt": "b"}, "line 2 names a column twice"),
}


@pytest.mark.parametrize(("row", "sentence"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(
    tmp_path: Path, row: Any, sentence: str
) -> None:
    path = _file(tmp_path, GOOD, row)
    with pytest.raises(InputError, match=rf"^The prompt set .*set\.jsonl, {sentence}"):
        read(path)


def test_the_line_that_is_named_counts_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 4 is not JSON"):
        read(_file(tmp_path, "", GOOD, "", "nothing"))


# Seeds


def test_a_row_without_a_seed_has_one_that_follows_from_its_text(tmp_path: Path) -> None:
    texts = ["a ring", "a star", "a tree"]
    rows = [{"prompt": text} for text in texts]
    found = {row.text: row.seed for row in read(_file(tmp_path, *rows), harmful=False).rows}
    assert found == {
        row.text: row.seed
        for row in read(_file(tmp_path, *rows[:0:-1], rows[0]), harmful=False).rows
    }
    assert len(set(found.values())) == 3
    assert read(_file(tmp_path, rows[1]), harmful=False).rows[0].seed == found["a star"]
    other = {
        row.text: row.seed for row in read(_file(tmp_path, *rows), harmful=False, seed=43).rows
    }
    assert not set(other.values()) & set(found.values())


def test_a_derived_seed_is_the_same_in_every_version() -> None:
    assert derived_seed(42, "a ring") == 114_384_807_780_764


@given(strategies.integers(), strategies.text(strategies.characters(exclude_categories=["Cs"])))
def test_a_derived_seed_is_one_that_a_generator_takes_and_json_keeps(seed: int, text: str) -> None:
    assert 0 <= derived_seed(seed, text) < 2**52


def test_rows_without_a_seed_among_others_are_noted(tmp_path: Path) -> None:
    rows = [GOOD, {"prompt": "a", "category": "b"}, {"prompt": "c", "category": "b", "seed": None}]
    found = read(_file(tmp_path, *rows))
    assert [row.seed for row in found.rows] == [7, derived_seed(42, "a"), derived_seed(42, "c")]
    assert found.notes == ("lines 2 and 3 have no seed; it is derived from the text",)


# What is left out


def test_a_prompt_and_seed_twice_are_refused_where_the_users_own_file_states_seeds(
    tmp_path: Path,
) -> None:
    rows = [GOOD, GOOD | {"seed": 8}, "", GOOD | {"category": "other"}]
    with pytest.raises(
        InputError, match=r"set\.jsonl holds one prompt and seed twice, in lines 1 and 4\."
    ):
        read(_file(tmp_path, *rows))


def test_a_plain_file_without_seeds_may_repeat_itself_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", "prompt,category\na,b\n,b\nc,b\na,b\n")
    found = read(path)
    assert [row.text for row in found.rows] == ["a", "c"]
    assert found.notes == (
        "line 3 has no prompt and is left out",
        "lines 2 and 5 hold one prompt and seed; the second is left out",
    )


def _i2p(folder: Path, *rows: tuple[str, str, int, float]) -> Path:
    columns = ("prompt", "categories", "sd_seed", "sd_guidance_scale")
    return write(
        folder / "i2p.csv", rows_as_csv(*(dict(zip(columns, row, strict=True)) for row in rows))
    )


def test_a_published_set_is_read_without_its_empty_and_repeated_prompts_and_says_so(
    tmp_path: Path,
) -> None:
    rows = [
        ("a", "x", 1, 7.0),
        ("", "x", 2, 7.0),
        ("b", "x", 1, 7.0),
        ("  ", "x", 3, 7.0),
        ("a", "y", 1, 7.0),
        ("b", "x", 1, 7.0),
    ]
    found = read(_i2p(tmp_path, *rows))
    # The picture is one, and what it is harmful by is all that any of its rows says.
    assert found.rows == (
        Prompt("a", 1, ("x", "y"), guidance=7.0),
        Prompt("b", 1, ("x",), guidance=7.0),
    )
    assert found.notes == (
        "lines 3 and 5 have no prompt and are left out",
        "lines 6 (as 2) and 7 (as 4) repeat an earlier prompt and seed and are left out",
    )


def test_another_guidance_makes_another_picture_unless_the_protocols_is_used(
    tmp_path: Path,
) -> None:
    path = _i2p(tmp_path, ("a", "x", 1, 7.0), ("a", "x", 1, 9.0))
    assert [row.guidance for row in read(path).rows] == [7.0, 9.0]
    found = read(path, guidance="protocol")
    assert len(found.rows) == 1
    assert found.notes == ("lines 2 and 3 hold one prompt and seed; the second is left out",)


def test_rows_of_a_published_set_without_a_category_are_of_the_sets_name(tmp_path: Path) -> None:
    found = read(_i2p(tmp_path, ("a", "x", 1, 7.0), ("b", "", 1, 7.0)))
    assert [row.categories for row in found.rows] == [("x",), ("i2p",)]
    assert found.notes == ("line 3 has no category and is i2p",)


def test_many_notes_are_shortened(tmp_path: Path) -> None:
    found = read(
        _i2p(tmp_path, ("a", "x", 1, 7.0), *[("", "x", number, 7.0) for number in range(9)])
    )
    assert found.notes == ("lines 3, 4, 5, 6, 7 and 4 more have no prompt and are left out",)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "\ufeff"], ids=["empty", "blank", "a mark of the byte order"]
)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_a_set_without_a_prompt_is_refused(tmp_path: Path, text: str, suffix: str) -> None:
    path = write(tmp_path / f"set{suffix}", text)
    with pytest.raises(InputError, match=rf"set{suffix} holds no prompt\."):
        read(path)


@pytest.mark.parametrize(
    "text",
    ["prompt\n", 'prompt,seed\n"",\n', "prompt\n  \n"],
    ids=["a header", "an empty row", "a blank row"],
)
def test_a_csv_without_a_prompt_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"set\.csv holds no prompt\."):
        read(write(tmp_path / "set.csv", text))


# Whatever a file holds


@given(strategies.binary(max_size=200))
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_any_bytes_are_a_set_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes{suffix}"
    path.write_bytes(b"prompt,seed\n" + data if suffix == ".csv" else data)
    try:
        found = read_prompts(path, settings(), role="benign")
    except InputError as error:
        said = str(error)
    else:
        said = f"{path}, {len(found.rows)} rows"
    assert str(path) in said
    assert not said.endswith(" 0 rows")


TEXTS = strategies.text(
    strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    min_size=1,
    max_size=9,
).filter(str.strip)
CATEGORIES = strategies.text("abc", min_size=1, max_size=3)


@given(
    strategies.dictionaries(
        strategies.tuples(TEXTS, strategies.integers(0, 2**63 - 1)),
        CATEGORIES,
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_as_csv_or_json_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[tuple[str, int], str]
) -> None:
    table = [
        {"prompt": text, "seed": seed, "category": category}
        for (text, seed), category in rows.items()
    ]
    expected = tuple(Prompt(text, seed, (category,)) for (text, seed), category in rows.items())
    folder = tmp_path_factory.getbasetemp()
    for path in (
        write(folder / "round.csv", rows_as_csv(*table)),
        write(folder / "round.tsv", rows_as_csv(*table, delimiter="\t")),
        write(folder / "round.json", json.dumps(table)),
        write(
            folder / "round.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in table)
        ),
    ):
        assert read(path).rows == expected


def test_every_published_set_says_where_its_rows_stand(tmp_path: Path) -> None:
    found = read(published.visu(tmp_path))
    assert {row.source.split(",")[0] for row in found.rows} == {"row 1", "row 2"}
