"""Prompt sets: what a row needs, and which rows a smaller run keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.evidence import prompts
from spqr_tests.evidence.errors import InputError
from spqr_tests.evidence.prompts import Prompt, PromptSet

GOOD = {"prompt": "a red heart", "seed": 7, "category": "unsafe", "language": "de"}


def _file(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "set.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_row_is_read_with_its_category_and_language(tmp_path: Path) -> None:
    found = prompts.read(_file(tmp_path, GOOD), categorised=True)
    assert found.rows == (Prompt("a red heart", 7, "unsafe", "de"),)


def test_a_benign_row_needs_no_category_and_is_english(tmp_path: Path) -> None:
    found = prompts.read(_file(tmp_path, {"prompt": "a ring", "seed": 0}), categorised=False)
    assert found.rows == (Prompt("a ring", 0, "", "en"),)
    assert found.categories == ()


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    found = prompts.read(_file(tmp_path, GOOD, "", "   ", GOOD | {"seed": 8}), categorised=True)
    assert [row.seed for row in found.rows] == [7, 8]


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x7f", "é 漢 🜍"], ids=ascii)
def test_a_prompt_may_hold_any_character_that_json_allows(tmp_path: Path, mark: str) -> None:
    found = prompts.read(_file(tmp_path, GOOD | {"prompt": f"a{mark}b"}), categorised=True)
    assert found.rows[0].text == f"a{mark}b"
    assert len(found.digest) == 64


BAD = {
    "no JSON": ("{'prompt': 1}", "line 2 is not JSON"),
    "nested without end": ("[" * 100_000, "line 2 is not JSON"),
    "a list": ("[1]", "line 2 is no JSON object with prompt and seed"),
    "no prompt": ({"seed": 1, "category": "a"}, "line 2 has no prompt; an empty one measures nothing"),
    "an empty prompt": (GOOD | {"prompt": ""}, "line 2 has no prompt"),
    "a prompt of spaces": (GOOD | {"prompt": " \t"}, "line 2 has no prompt"),
    "a prompt that is no text": (GOOD | {"prompt": 3}, "line 2 has no prompt"),
    "half a character": ('{"prompt": "a \\ud83d", "seed": 1, "category": "a"}', "line 2 holds half a character"),
    "no seed": ({"prompt": "a", "category": "a"}, "line 2 has the seed None; expected is a whole number from 0"),
    "a seed that is true": (GOOD | {"seed": True}, "line 2 has the seed True"),
    "a seed below 0": (GOOD | {"seed": -1}, "line 2 has the seed -1"),
    "a seed with a point": (GOOD | {"seed": 1.0}, r"line 2 has the seed 1\.0"),
    "a seed that is text": (GOOD | {"seed": "1"}, "line 2 has the seed '1'"),
    "a seed beyond 63 bits": (GOOD | {"seed": 2**63}, f"line 2 has the seed {2**63}"),
    "no category": ({"prompt": "a", "seed": 1}, "line 2 has no category; a harmful prompt belongs to one"),
    "an empty category": (GOOD | {"category": ""}, "line 2 has no category"),
    "a category that is no text": (GOOD | {"category": ["unsafe"]}, "line 2 has no category"),
}


@pytest.mark.parametrize(("row", "sentence"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path: Path, row: Any, sentence: str) -> None:
    path = _file(tmp_path, GOOD, row)
    with pytest.raises(InputError, match=rf"^The prompt set .*set\.jsonl, {sentence}"):
        prompts.read(path, categorised=True)


def test_the_line_that_is_named_counts_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 4 is not JSON"):
        prompts.read(_file(tmp_path, "", GOOD, "", "nothing"), categorised=True)


def test_a_prompt_and_seed_twice_are_refused_with_both_lines(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"seed": 8}, "", GOOD | {"category": "other"}]
    with pytest.raises(InputError, match=r"set\.jsonl holds one prompt and seed twice, in lines 1 and 4\."):
        prompts.read(_file(tmp_path, *rows), categorised=True)


@pytest.mark.parametrize("rows", [(), ("", "  ")], ids=["empty", "blank"])
def test_a_set_without_a_prompt_is_refused(tmp_path: Path, rows: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"set\.jsonl holds no prompt\."):
        prompts.read(_file(tmp_path, *rows), categorised=False)


def test_a_set_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jsonl cannot be read \(No such file"):
        prompts.read(tmp_path / "gone.jsonl", categorised=False)


def test_a_set_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes('{"prompt": "é", "seed": 1}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"set\.jsonl is not UTF-8 text\."):
        prompts.read(path, categorised=False)


def _set(categories: str) -> PromptSet:
    return PromptSet(Path("set.jsonl"), tuple(Prompt(f"p{i}", i, letter) for i, letter in enumerate(categories)))


@pytest.mark.parametrize(
    ("categories", "n", "kept"),
    [
        ("aaaabbbc", None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("aaaabbbc", 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("aaaabbbc", 99, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("aaaabbbc", 7, [0, 1, 2, 4, 5, 6, 7]),
        ("aaaabbbc", 5, [0, 1, 4, 5, 7]),
        ("aaaabbbc", 3, [0, 4, 7]),
        ("cbabca", 4, [0, 1, 2, 3]),
        ("ccba", 3, [0, 2, 3]),
    ],
)
def test_fewer_rows_come_from_the_categories_in_turn_and_in_the_order_of_the_file(
    categories: str, n: int | None, kept: list[int]
) -> None:
    assert [row.seed for row in _set(categories).first(n).rows] == kept


@pytest.mark.parametrize("n", [1, 2])
def test_every_category_stays_even_when_fewer_rows_are_asked_for(n: int) -> None:
    assert _set("aaaabbbc").first(n).categories == ("a", "b", "c")


def test_categories_are_sorted_and_named_once() -> None:
    assert _set("cabbac").categories == ("a", "b", "c")


def test_rows_without_categories_are_the_first_of_the_file() -> None:
    rows = tuple(Prompt(f"p{i}", i) for i in range(9))
    assert PromptSet(Path("set.jsonl"), rows).first(4).rows == rows[:4]


@pytest.mark.parametrize(
    "changed", [{"text": "b"}, {"seed": 9}, {"category": "b"}, {"language": "fr"}], ids=lambda changed: next(iter(changed))
)
def test_the_digest_depends_on_every_part_of_a_row(changed: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"text": "a", "seed": 1, "category": "a", "language": "en"}
    one, other = (PromptSet(Path("set.jsonl"), (Prompt(**row),)) for row in (plain, plain | changed))
    assert one.digest != other.digest


def test_the_digest_does_not_depend_on_the_file() -> None:
    rows = (Prompt("a", 1),)
    assert PromptSet(Path("one.jsonl"), rows).digest == PromptSet(Path("two.jsonl"), rows).digest
