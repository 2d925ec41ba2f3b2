"""Files: how text becomes rows, and what is said of one that does not."""

import json
from pathlib import Path

import pytest

from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import InputError
from tests.data.prompts.published import read, write


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        read(path, harmful=False)
    return str(raised.value).replace(str(path), path.name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompt,seed\na,1\n", [("a", 1)]),
        ("\ufeffprompt,seed\na,1\n", [("a", 1)]),
        ("prompt,seed\r\na,1\r\nb,2\r\n", [("a", 1), ("b", 2)]),
        ("prompt;seed\na, b;1\n", [("a, b", 1)]),
        ("prompt\tseed\na, b\t1\n", [("a, b", 1)]),
        ('prompt,seed\n"a, ""b""",1\n', [('a, "b"', 1)]),
        ('prompt,seed\n"a\nb",1\n\nc,2\n', [("a\nb", 1), ("c", 2)]),
        ("prompt,seed\na,1.0\n", [("a", 1)]),
        ("prompt,seed\na,01\n", [("a", 1)]),
        ("\n\nprompt,seed\na,1", [("a", 1)]),
        ("prompt,seed\n a ,1\n", [(" a ", 1)]),
    ],
    ids=ascii,
)
def test_a_csv_is_read_as_it_is_commonly_written(
    tmp_path: Path, text: str, expected: list[tuple[str, int]]
) -> None:
    found = read(write(tmp_path / "set.csv", text), harmful=False)
    assert [(row.text, row.seed) for row in found.rows] == expected


def test_the_line_of_a_row_is_that_where_it_begins(tmp_path: Path) -> None:
    found = read(
        write(tmp_path / "set.csv", 'prompt,seed\n"a\n\nb",1\n\nc,2\n"d\ne",3\nf,4\n'),
        harmful=False,
    )
    assert [row.source for row in found.rows] == ["line 2", "line 6", "line 7", "line 9"]


CSV = {
    "a cell too many": (
        "prompt,seed\na,1\na,b,1\n",
        "set.csv, line 3 has 3 cells, and the header has 2",
    ),
    "a cell too few": ("prompt,seed\n\na\n", "set.csv, line 3 has 1 cells, and the header has 2"),
    "a quote that is not closed": (
        'prompt,seed\n"a,1\nb,2\n',
        "set.csv, line 2 is not CSV that can be read",
    ),
    "a quote within a cell": (
        'prompt,seed\n"a" b,1\n',
        "set.csv, line 2 is not CSV that can be read",
    ),
    "a cell without end": (
        f"prompt,seed\n{'a' * 200_000},1\n",
        "set.csv, line 2 is not CSV that can be read: field larger",
    ),
    "a column twice": ("prompt,Prompt \na,b\n", "set.csv, line 1 names the column 'prompt' twice"),
    "a NUL byte": ("prompt,seed\na,1\na\0b,2\n", "set.csv holds a NUL byte (line 3)"),
    "a seed that is none": (
        "prompt,seed\na,x\n",
        "set.csv, line 2 has the seed 'x'; expected a whole number from 0",
    ),
    "a seed with a fraction": ("prompt,seed\na,1.5\n", "set.csv, line 2 has the seed '1.5'"),
    "a seed below 0": ("prompt,seed\na,-1\n", "set.csv, line 2 has the seed '-1'"),
    "a seed in other digits": ("prompt,seed\na,\u0661\n", "set.csv, line 2 has the seed '\u0661'"),
    "a seed beyond 63 bits": (f"prompt,seed\na,{2**63}\n", f"set.csv, line 2 has the seed {2**63}"),
    "a guidance that is none": (
        "prompt,guidance\na,high\n",
        "set.csv, line 2 has the guidance 'high'; expected a number",
    ),
    "a guidance without end": (
        "prompt,guidance\na,inf\n",
        "set.csv, line 2 has the guidance 'inf'",
    ),
    "a guidance that is no number": (
        "prompt,guidance\na,nan\n",
        "set.csv, line 2 has the guidance 'nan'",
    ),
    "an empty prompt with a seed": ("prompt,seed\na,1\n,2\n", "set.csv, line 3 has no prompt"),
}


@pytest.mark.parametrize(("text", "sentence"), CSV.values(), ids=CSV)
def test_a_csv_that_cannot_be_read_is_named_by_its_line(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert sentence in _refusal(write(tmp_path / "set.csv", text))


JSON = {
    "cut": ('[{"prompt": "a"', "set.json is not JSON (line 1: Expecting"),
    "another text": ("prompt\na", "set.json is not JSON (line 1"),
    "an object by column": (
        '{"prompt": {"0": "a"}}',
        "set.json is a JSON object; expected a list of objects",
    ),
    "a text": ('"a"', "set.json is a JSON object; expected"),
    "a list of texts and others": (
        '["a", {"prompt": "b"}]',
        "set.json, row 1 is not a JSON object with prompt and seed",
    ),
    "no number": ('[{"prompt": "a", "seed": Infinity}]', "set.json is not JSON that can be read"),
    "nested without end": ("[" * 100_000, "set.json is not JSON that can be read"),
    "an empty list": ("[]", "set.json holds no prompt"),
    "an empty object": ("[{}]", "set.json has the columns none, which are not a known layout"),
    "a list of annotations without captions": ('{"annotations": []}', "set.json holds no prompt"),
    "a second line that is none": ('{"prompt": "a"}\nb', "set.json, line 2 is not JSON"),
}


@pytest.mark.parametrize(("text", "sentence"), JSON.values(), ids=JSON)
def test_a_json_file_that_cannot_be_read_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in _refusal(write(tmp_path / "set.json", text))


@pytest.mark.parametrize("count", [1, 2])
def test_json_lines_in_a_json_file_are_read_as_what_they_are(tmp_path: Path, count: int) -> None:
    lines = [json.dumps({"prompt": "a", "seed": number}) for number in range(count)]
    found = read(write(tmp_path / "set.json", "\n".join(lines)), harmful=False)
    assert found.rows == tuple(Prompt("a", number) for number in range(count))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('{"prompt": "é", "seed": 1}'.encode("latin-1"), "set.jsonl is not UTF-8 text (line 1)"),
        (b'{"prompt": "a", "seed": 1}\n\n\xff', "set.jsonl is not UTF-8 text (line 3)"),
        (
            '{"prompt": "a", "seed": 1}'.encode("utf-16"),
            "set.jsonl is UTF-16 text; save it as UTF-8",
        ),
        (b"PK\x03\x04\0\0", "set.jsonl holds a NUL byte (line 1)"),
    ],
    ids=["Latin 1", "a later line", "UTF-16", "an archive"],
)
def test_a_file_that_is_no_utf8_text_is_named(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(data)
    assert sentence in _refusal(path)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read(
        write(tmp_path / "set.jsonl", '\ufeff{"prompt": "a", "seed": 1}'), harmful=False
    ).rows == (Prompt("a", 1),)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "gone.jsonl cannot be read (No such file" in _refusal(tmp_path / "gone.jsonl")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("set.parquet", "set.parquet is a .parquet file"),
        ("set", "set is a nameless kind of file"),
        ("", "is a folder"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / name if name else tmp_path
    if name:
        write(path, "prompt\na\n")
    assert f"{said}; expected one file: .csv, .tsv, .json, .jsonl, .ndjson" in _refusal(path)


@pytest.mark.parametrize("column", ["prompt", "seed", "category", "categories", "guidance", "lang"])
@pytest.mark.parametrize("depth", [1, 70, 900])
def test_a_cell_of_any_depth_is_answered_by_one_short_sentence(
    tmp_path: Path, column: str, depth: int
) -> None:
    row = {"prompt": '"a"'} | {column: f"{'[' * depth}1{']' * depth}"}
    cells = ", ".join(f'"{name}": {value}' for name, value in row.items())
    said = _refusal(write(tmp_path / "set.jsonl", f"{{{cells}}}"))
    assert said.startswith("The prompt set set.jsonl, line 1 ")
    assert len(said) < 250
