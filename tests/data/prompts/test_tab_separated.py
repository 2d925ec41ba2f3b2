"""Tab-separated files: whose quotes are text; and files without a header."""

import csv
import io
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, strategies

from spqr_tests.errors import InputError
from tests.data.prompts.published import read, write


def _texts(folder: Path, text: str, name: str = "set.tsv") -> list[str]:
    return [row.text for row in read(write(folder / name, text), harmful=False).rows]


@pytest.mark.parametrize("name", ["set.tsv", "set.TSV", "set.csv"])
def test_quotes_of_a_plain_file_are_part_of_its_texts(tmp_path: Path, name: str) -> None:
    text = 'Prompt\tCategory\n"HELLO" painted on a wall\tArts\na sign that says "open"\tSigns\n'
    assert _texts(tmp_path, text, name) == [
        '"HELLO" painted on a wall',
        'a sign that says "open"',
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"HELLO"', '"HELLO"'),
        ('"HELLO, WORLD"', "HELLO, WORLD"),
        ('"say ""hi"""', 'say "hi"'),
        ('"two\ttabs"', "two\ttabs"),
        ('"open', '"open'),
        ('"a" and "b"', '"a" and "b"'),
        ('""', ""),
        ('5" x 7"', '5" x 7"'),
        ("a blue car, parked; red", "a blue car, parked; red"),
    ],
)
def test_a_quoted_cell_is_one_that_a_csv_writer_must_quote(
    tmp_path: Path, cell: str, text: str
) -> None:
    found = _texts(tmp_path, f"prompt\tcategory\n{cell}\tx\na star\ty\n")
    assert found == [one for one in (text, "a star") if one]


def test_one_quote_that_no_writer_sets_makes_all_of_them_text(tmp_path: Path) -> None:
    text = 'prompt\tcategory\n"one, two"\tx\na 5" pipe\ty\n'
    assert _texts(tmp_path, text) == ['"one, two"', 'a 5" pipe']


def test_a_quoted_header_says_that_cells_are_quoted(tmp_path: Path) -> None:
    text = '"prompt"\t"category"\n"HELLO"\t"x"\n"a\nb"\t"y"\n'
    assert _texts(tmp_path, text) == ["HELLO", "a\nb"]


@pytest.mark.parametrize(
    "text", ['prompt\n"a\nb"\n', 'prompt\tcategory\n"a\tx\nb"\tx\n'], ids=["one", "two"]
)
def test_a_line_break_that_may_be_within_a_prompt_or_between_two_is_refused(
    tmp_path: Path, text: str
) -> None:
    path = write(tmp_path / "set.tsv", text)
    with pytest.raises(InputError, match=r"has a quote that a later line closes.*\.jsonl\."):
        read(path, harmful=False)


def test_one_column_needs_no_tab(tmp_path: Path) -> None:
    text = 'prompt\r\na blue car, parked\r\n"HELLO" on a wall\r\n'
    assert _texts(tmp_path, text) == ["a blue car, parked", '"HELLO" on a wall']


def test_a_line_of_a_plain_file_needs_all_cells(tmp_path: Path) -> None:
    path = write(tmp_path / "set.tsv", 'prompt\tcategory\na 5" pipe\ta\tb\n')
    with pytest.raises(InputError, match="line 2 has 3 cells, and the header has 2: cells are sep"):
        read(path, harmful=False)


WORDS = strategies.text('ab "\t\n,', min_size=1, max_size=6).filter(str.strip)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@given(strategies.lists(WORDS, min_size=1, max_size=4, unique=True))
def test_what_csv_writes_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, quoting: Literal[0, 1], words: list[str]
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n", quoting=quoting)
    writer.writerows([("prompt", "seed"), *((word, i) for i, word in enumerate(words))])
    folder = tmp_path_factory.getbasetemp()
    try:
        found = _texts(folder, buffer.getvalue())
    except InputError as error:
        assert quoting == csv.QUOTE_MINIMAL
        assert "a later line closes" in str(error)  # noqa: PT017  either outcome is right
    else:
        assert found == words


# No header


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("set.csv", "a red car\na blue car, parked\n", "a red car"),
        ("set.csv", "ring\nstar\n", "ring"),
        ("set.csv", "\n\na red car, parked\na star\n", "a red car, parked"),
        ("set.csv", "a car,7\na boat,8\n", "a car,7"),
        ("set.csv", '"a red car, parked",7\n', '"a red car, parked",7'),
        ("set.tsv", "a blue car, parked\na star\n", "a blue car, parked"),
        ("set.tsv", '"HELLO" on a wall\tArts\nb\tc\n', '"HELLO" on a wall\tArts'),
    ],
)
def test_a_list_without_a_header_is_refused_with_its_first_line(
    tmp_path: Path, name: str, text: str, first: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(InputError) as raised:
        read(path, harmful=False)
    assert str(raised.value) == (
        f"The prompt set {path} has no header row: its first line is {first!r}; expected the names"
        " of the columns there, such as prompt."
    )


def test_a_long_first_line_is_shortened(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", "a red car and " * 5000 + "\nb\n")
    with pytest.raises(InputError, match=r"has no header row") as raised:
        read(path, harmful=False)
    assert len(str(raised.value)) < 300 + len(str(path))


@pytest.mark.parametrize("header", ["prompt", "Prompt", " text ", "caption", '"prompt"'])
@pytest.mark.parametrize("name", ["set.csv", "set.tsv"])
def test_one_column_with_a_header_is_read(tmp_path: Path, header: str, name: str) -> None:
    assert _texts(tmp_path, f"{header}\na ring\na star\n", name) == ["a ring", "a star"]
