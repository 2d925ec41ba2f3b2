"""Image folders: pictures with captions, all there or refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.errors import InputError
from tests.data.pictures.conftest import picture


def _describe(folder: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _rows(captions: str = "abc") -> list[dict[str, str]]:
    return [
        {"file_name": f"{number}.png", "text": caption} for number, caption in enumerate(captions)
    ]


@pytest.mark.parametrize(("n", "kept"), [(None, 3), (3, 3), (2, 2), (1, 1)])
def test_the_first_pairs_are_read_in_the_order_of_the_metadata(
    folder: Path, n: int | None, kept: int
) -> None:
    found = read_pictures(_describe(folder, *reversed(_rows())), n)
    assert (
        found.pairs
        == tuple((folder / f"{number}.png", "abc"[number]) for number in (2, 1, 0))[:kept]
    )


def test_empty_lines_are_passed_over(folder: Path) -> None:
    first, second, _ = _rows()
    assert [
        caption for _, caption in read_pictures(_describe(folder, first, "", "  ", second)).pairs
    ] == ["a", "b"]


def test_a_caption_may_hold_any_character_that_json_allows(folder: Path) -> None:
    assert read_pictures(_describe(folder, *_rows("\u2028a")[1:]), 1).pairs[0][1] == "a"
    assert (
        read_pictures(_describe(folder, {"file_name": "0.png", "text": "a\u2028b"})).pairs[0][1]
        == "a\u2028b"
    )


BAD = {
    "no JSON": ("{", "expected an object with file_name and text"),
    "a list": ("[1]", "expected an object with file_name and text"),
    "no caption's key": ({"file_name": "0.png"}, "expected an object with file_name and text"),
    "no file's key": ({"text": "a"}, "expected an object with file_name and text"),
    "another caption's key": (
        {"file_name": "0.png", "caption": "a"},
        "expected an object with file_name and text, but it has file_name, caption",
    ),
    "a file name that is a number": (
        {"file_name": 3, "text": "a"},
        "3 is not a picture's file name",
    ),
    "an empty file name": ({"file_name": "", "text": "a"}, "'' is not a picture's file name"),
    "a file name that is too long": (
        {"file_name": "a" * 5000, "text": "a"},
        r"'a+\.\.\.' is not a picture's file name",
    ),
    "an empty caption": ({"file_name": "0.png", "text": " "}, r"0\.png has no caption"),
    "a caption that is no text": ({"file_name": "0.png", "text": None}, r"0\.png has no caption"),
    "a picture that is missing": (
        {"file_name": "9.png", "text": "a"},
        r"there is no picture 9\.png in",
    ),
    "a folder": ({"file_name": ".", "text": "a"}, r"there is no picture \. in"),
    "a picture outside": (
        {"file_name": "../outside.png", "text": "a"},
        r"there is no picture \.\./outside\.png in",
    ),
    "a file name with a null": (
        {"file_name": "0\x00.png", "text": "a"},
        r"'0\\x00\.png' is not a picture's file name",
    ),
    "half a character": (
        '{"file_name": "0.png", "text": "\\ud83d"}',
        r"the caption of 0\.png has half a character",
    ),
    "half a character in a file name": (
        '{"file_name": "\\ud83d.png", "text": "a"}',
        r"'\\ud83d\.png' is not a picture's file name",
    ),
    "a file that is no picture": (
        {"file_name": "metadata.jsonl", "text": "a"},
        r"The picture .*metadata\.jsonl cannot be read",
    ),
    "nested without end": ("[" * 100_000, "expected an object with file_name and text"),
}


@pytest.mark.parametrize(("row", "sentence"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(
    folder: Path, row: Any, sentence: str
) -> None:
    with pytest.raises(InputError, match=rf"^.*metadata\.jsonl, line 2: {sentence}"):
        read_pictures(_describe(folder, _rows()[0], row))


def test_an_absolute_path_outside_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="line 1: there is no picture"):
        read_pictures(
            _describe(folder, {"file_name": str(folder.parent / "outside.png"), "text": "a"})
        )


@pytest.mark.parametrize("n", [4, 1000])
def test_fewer_pictures_than_the_protocol_asks_for_are_refused(folder: Path, n: int) -> None:
    with pytest.raises(InputError, match=rf"set holds 3 pictures, but the protocol asks for {n}\."):
        read_pictures(_describe(folder, *_rows()), n)


def test_no_pictures_are_refused(folder: Path) -> None:
    (folder / "metadata.jsonl").touch()
    with pytest.raises(InputError, match=r"holds 0 pictures, but the protocol asks for 1\."):
        read_pictures(folder)


def test_a_folder_without_metadata_is_refused_with_what_is_expected(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected a folder of pictures with metadata\.jsonl or metadata\.csv"
    ):
        read_pictures(folder)


def test_the_digest_depends_on_captions_pictures_and_order_and_not_on_names(folder: Path) -> None:
    plain = read_pictures(_describe(folder, *_rows())).digest
    assert read_pictures(_describe(folder, *_rows("abd"))).digest != plain
    assert read_pictures(_describe(folder, *reversed(_rows()))).digest != plain
    assert read_pictures(_describe(folder, *_rows()), 2).digest != plain
    (folder / "1.png").rename(folder / "other.png")
    renamed = [row | {"file_name": row["file_name"].replace("1.", "other.")} for row in _rows()]
    assert read_pictures(_describe(folder, *renamed)).digest == plain
    (folder / "other.png").write_bytes(picture(99))
    assert read_pictures(_describe(folder, *renamed)).digest != plain


def _table(folder: Path, text: str | bytes) -> Path:
    (folder / "metadata.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_table_is_read_as_lines_are(folder: Path) -> None:
    lines = read_pictures(_describe(folder, *_rows()))
    (folder / "metadata.jsonl").unlink()
    table = read_pictures(_table(folder, "file_name,text\n0.png,a\n1.png,b\n2.png,c\n"))
    assert table == lines
    assert table.digest == lines.digest
    assert read_pictures(folder / "metadata.csv") == table


def test_a_table_from_a_spreadsheet_is_read(folder: Path) -> None:
    text = '\ufeffn,file_name,text\r\n1,0.png,"two\nlines, ""quoted"""\r\n\r\n2,1.png,é\r\n'
    assert [caption for _, caption in read_pictures(_table(folder, text)).pairs] == [
        'two\nlines, "quoted"',
        "é",
    ]


def test_the_caption_column_may_be_named(folder: Path) -> None:
    _table(folder, "file_name,text,text_ar\n0.png,a,صورة\n")
    assert [
        read_pictures(folder, caption=column).pairs[0][1] for column in ("text", "text_ar")
    ] == ["a", "صورة"]
    (folder / "metadata.csv").unlink()
    _describe(folder, {"file_name": "0.png", "text": "a", "text_ar": "صورة"})
    assert read_pictures(folder, caption="text_ar").pairs[0][1] == "صورة"


BAD_TABLES = {
    "nothing": (b"", r"metadata\.csv has no columns file_name: .* its first line has nothing"),
    "no column for captions": (
        b"file_name,caption\n0.png,a\n",
        r"has no columns text: .* its first line has file_name, caption\.",
    ),
    "a column twice": (b"file_name,text,text\n0.png,a,b\n", "has 2 columns text"),
    "a ragged row": (
        b"file_name,text\n0.png,a\n1.png,a,b\n",
        r"metadata\.csv, line 3 has 3 fields, but the first line names 2",
    ),
    "an open quote": (b'file_name,text\n0.png,"a\n1.png,b\n', "this is not readable CSV"),
    "text after a quote": (
        b'file_name,text\n0.png,"a"b\n',
        "line 2: this is not readable CSV",
    ),
    "a field without end": (
        b"file_name,text\n0.png," + b"a" * 200_000,
        "line 2: this is not readable CSV",
    ),
    "bytes of another encoding": (
        b"file_name,text\n0.png,\xe9\n",
        r"metadata\.csv is not UTF-8 text",
    ),
    "UTF-16": ("file_name,text\n0.png,a\n".encode("utf-16"), r"metadata\.csv is UTF-16 text"),
    "nulls": (
        b"file_name,text\n0\x00.png,a\n",
        r"metadata\.csv holds a NUL byte \(line 2\)",
    ),
    "an empty caption": (b"file_name,text\n0.png,\n", r"line 2: 0\.png has no caption"),
    "a path outside": (
        b"file_name,text\n../outside.png,a\n",
        r"line 2: there is no picture \.\./outside\.png in",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_table_that_cannot_be_used_is_refused_by_line(
    folder: Path, text: bytes, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_pictures(_table(folder, text))


def test_duplicated_pictures_and_captions_are_kept(folder: Path) -> None:
    found = read_pictures(_describe(folder, *_rows("aaa"), _rows("aaa")[0]))
    assert len(found.pairs) == 4
    assert len(found.pictures) == len(set(found.identities)) == 3


def test_two_descriptions_of_one_set_are_refused(folder: Path) -> None:
    _describe(_table(folder, "file_name,text\n0.png,a\n"), *_rows())
    with pytest.raises(
        InputError,
        match=r"is described by metadata\.jsonl, metadata\.csv; name the file that you mean",
    ):
        read_pictures(folder)
    assert len(read_pictures(folder / "metadata.csv").pairs) == 1


def test_pictures_alone_will_do_where_no_captions_are_asked_for(folder: Path) -> None:
    (folder / "notes.txt").touch()
    found = read_pictures(folder, 2, None)
    assert found.pairs == ((folder / "0.png", ""), (folder / "1.png", ""))
    with pytest.raises(InputError, match="holds 3 pictures, but the protocol asks for 4"):
        read_pictures(folder, 4, None)
    assert read_pictures(_describe(folder, *_rows()), 1, None).pairs[0][1] == "a"


def test_a_picture_of_a_size_that_is_an_attack_is_refused(folder: Path) -> None:
    # 100 megapixels in under 100 kB.
    Image.new("1", (10_000, 10_000)).save(folder / "0.png")
    with pytest.raises(
        InputError, match=r"line 1: The picture .*0\.png cannot be read \(.*decompression bomb"
    ):
        read_pictures(_describe(folder, *_rows()))


def test_a_format_that_starts_a_program_is_refused(folder: Path) -> None:
    (folder / "0.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(InputError, match=r"line 1: The picture .*0\.png cannot be read"):
        read_pictures(_describe(folder, *_rows()))


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to(folder.parent / "outside.png")
    with pytest.raises(
        InputError,
        match=r"0\.png is a link to .*outside\.png, outside of .*set; put the file itself there",
    ):
        read_pictures(_describe(folder, *_rows()))
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to("1.png")
    assert len(read_pictures(folder).pairs) == 3
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match=r"0\.png is a link to nothing"):
        read_pictures(folder)


def test_a_folder_that_is_a_link_is_as_good_as_any(folder: Path) -> None:
    _describe(folder, *_rows())
    (folder.parent / "linked").symlink_to(folder)
    assert read_pictures(folder.parent / "linked").digest == read_pictures(folder).digest


def test_links_may_lead_about_in_one_repository_of_the_hub_s_cache(folder: Path) -> None:
    hub = folder.parent / "hub"
    snapshot, blobs = (
        hub / "datasets--org--name" / "snapshots" / "0123",
        hub / "datasets--org--name" / "blobs",
    )
    other = hub / "datasets--org--other" / "blobs"
    for one in (snapshot / "train", blobs, other):
        one.mkdir(parents=True)
    for file in _describe(folder, *_rows()).iterdir():
        (blobs / file.name).write_bytes(file.read_bytes())
        (snapshot / "train" / file.name).symlink_to(Path("../../../blobs") / file.name)
    assert read_pictures(snapshot / "train").digest == read_pictures(folder).digest
    (blobs / "0.png").rename(other / "0.png")
    (snapshot / "train" / "0.png").unlink()
    (snapshot / "train" / "0.png").symlink_to(other / "0.png")
    with pytest.raises(
        InputError, match=r"0\.png is a link to .*--other.*, outside of .*datasets--org--name"
    ):
        read_pictures(snapshot / "train")
