"""Sets as users have them: several captions, odd files, and what is said about all of it."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.errors import InputError
from spqr_tests.store.pictures import read_rgb
from spqr_tests.store.store import Store
from tests.data.pictures.conftest import coco_table, picture, write_coco, write_tar


def picture_of(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


COUNTS = "; each pair is an example to train on, and each picture counts once elsewhere"


def _describe(folder: Path, *rows: dict[str, Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
    return folder


def _alone(folder: Path, image: Image.Image, name: str, **saved: Any) -> Path:
    """A set of one picture."""
    folder.mkdir()
    image.save(folder / name, **saved)
    return _describe(folder, {"file_name": name, "text": "a drawing"})


# Several captions


def _eight_rows(folder: Path) -> Path:
    return _describe(
        folder, *({"file_name": f"{row % 2}.png", "text": f"caption {row}"} for row in range(8))
    )


def test_a_picture_with_several_captions_is_one_picture(folder: Path) -> None:
    found = read_pictures(_eight_rows(folder))
    assert found.pictures == (folder / "0.png", folder / "1.png")
    assert found.pairs == tuple((folder / f"{row % 2}.png", f"caption {row}") for row in range(8))
    assert found.remarks[0] == f"2 pictures with 8 captions{COUNTS}"


def test_n_counts_pictures_and_takes_all_captions_of_each(folder: Path) -> None:
    found = read_pictures(_eight_rows(folder), 1)
    assert found.pairs == tuple((folder / "0.png", f"caption {row}") for row in (0, 2, 4, 6))
    with pytest.raises(InputError, match="holds 2 pictures, but the protocol asks for 3"):
        read_pictures(folder, 3)
    assert read_pictures(folder, 2, None).pictures == (folder / "0.png", folder / "1.png")


def test_pictures_beyond_n_need_not_be_there(folder: Path) -> None:
    (folder / "1.png").unlink()
    assert len(read_pictures(_eight_rows(folder), 1).pairs) == 4


def test_a_row_may_list_its_captions(folder: Path) -> None:
    listed = read_pictures(_describe(folder, {"file_name": "0.png", "text": ["a", "b", "c"]}))
    rows = read_pictures(_describe(folder, *({"file_name": "0.png", "text": t} for t in "abc")))
    assert listed == rows
    assert listed.digest == rows.digest


@pytest.mark.parametrize("captions", [[], [""], ["a", None], [["a"]], {"en": "a"}, 3])
def test_a_list_that_is_not_of_captions_is_refused(folder: Path, captions: Any) -> None:
    with pytest.raises(InputError, match=r"line 1: 0\.png has no caption"):
        read_pictures(_describe(folder, {"file_name": "0.png", "text": captions}))


def test_a_key_of_a_webdataset_may_hold_several_captions(tmp_path: Path, store: Store) -> None:
    members = {"a.png": picture(), "a.json": json.dumps({"text": ["one", " two\n"]}).encode()}
    found = read_pictures(write_tar(tmp_path / "a.tar", members), store=store)
    assert [caption for _, caption in found.pairs] == ["one", "two"]
    assert len(found.pictures) == 1
    members["a.json"] = json.dumps({"text": ["one", 2]}).encode()
    with pytest.raises(InputError, match="expected an object in which text is the caption"):
        read_pictures(write_tar(tmp_path / "a.tar", members), store=store)


# Columns that name pictures


def test_one_row_may_name_several_pictures(folder: Path) -> None:
    row = {"file_names": ["0.png", "2.png"], "text": "a"}
    found = read_pictures(_describe(folder, row))
    assert found.pairs == ((folder / "0.png", "a"), (folder / "2.png", "a"))


@pytest.mark.parametrize("column", ["image_file_name", "picture_file_names"])
def test_the_column_may_have_a_longer_name(folder: Path, column: str) -> None:
    name: Any = ["1.png"] if column.endswith("s") else "1.png"
    found = read_pictures(_describe(folder, {column: name, "text": "a"}))
    assert found.pairs == ((folder / "1.png", "a"),)


def test_the_table_s_column_may_have_a_longer_name(folder: Path) -> None:
    (folder / "metadata.csv").write_text("image_file_name,text\n1.png,a\n")
    assert read_pictures(folder).pairs == ((folder / "1.png", "a"),)
    (folder / "metadata.csv").write_text("in_file_name,out_file_name,text\n1.png,2.png,a\n")
    with pytest.raises(
        InputError, match=r"names pictures in in_file_name and in out_file_name: call the one that"
    ):
        read_pictures(folder)


def test_which_of_several_columns_is_meant_is_not_guessed(folder: Path) -> None:
    row = {"source_file_name": "0.png", "target_file_name": "1.png", "text": "a"}
    with pytest.raises(
        InputError,
        match=(
            "line 1 names pictures in source_file_name and in target_file_name: call the one that"
            " is meant file_name"
        ),
    ):
        read_pictures(_describe(folder, row))
    found = read_pictures(_describe(folder, row | {"file_name": "2.png"}))
    assert found.pairs == ((folder / "2.png", "a"),)


@pytest.mark.parametrize("names", ["0.png", [], None, 3])
def test_a_list_of_names_that_is_none_is_refused(folder: Path, names: Any) -> None:
    with pytest.raises(
        InputError, match="line 1: file_names is not a list of pictures' file names"
    ):
        read_pictures(_describe(folder, {"file_names": names, "text": "a"}))


# What is left out


def test_pictures_that_no_row_names_are_said(folder: Path) -> None:
    _describe(folder, {"file_name": "./0.png", "text": "a"})
    assert read_pictures(folder).remarks == (
        "pictures that no row of the metadata names are left out: 2, such as 1.png",
    )


def test_captions_of_coco_that_are_not_used_are_said(tmp_path: Path) -> None:
    write_coco(tmp_path / "captions_x.json", tmp_path)
    assert read_pictures(tmp_path).notes == (
        "captions after the first of each picture are left out: 3",
    )
    table = coco_table()
    table["annotations"] = table["annotations"][3:]
    write_coco(tmp_path / "captions_x.json", tmp_path, table)
    assert read_pictures(tmp_path).notes == ()


def test_members_of_tars_that_are_not_used_are_said(tmp_path: Path, store: Store) -> None:
    members = {"a.png": picture(), "a.txt": b"a", "a.cls": b"3", "a.seg.png": picture(1)}
    tar = write_tar(tmp_path / "a.tar", members)
    for _ in range(2):  # also from the store
        assert read_pictures(tar, store=store).remarks == (
            "members of tars that are neither pictures nor captions are left out: 2, such as a.cls",
        )


def test_other_files_beside_pictures_are_said(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "Thumbs.db").touch()
    (folder / ".DS_Store").touch()
    assert read_pictures(folder, None, None).remarks == (
        "files and folders that are not pictures are left out: 2, such as Thumbs.db",
    )


def test_copies_under_other_names_are_said(folder: Path) -> None:
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes((folder / "0.png").read_bytes())
    found = read_pictures(folder, None, None)
    assert len(found.pictures) == 3
    assert found.remarks == ("pictures that are copies of others: 2 of 3",)


def test_conversions_are_counted(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    for number in (0, 1):
        (folder / f"{number}.png").write_bytes(b"")
        drawn = Image.linear_gradient("L").convert("RGBA" if number else "RGB")
        drawn.save(folder / f"{number}.png", exif=exif)
    moving = [Image.linear_gradient("L"), Image.radial_gradient("L")]
    moving[0].save(folder / "3.gif", save_all=True, append_images=moving[1:])
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040).save(folder / "4.png")
    assert read_pictures(folder, None, None).remarks == (
        "pictures turned upright by the orientation in their EXIF data: 2 of 5",
        "pictures with transparency, which shows white: 1 of 5",
        "pictures in grey of 16 bits or floating point, reduced to 8 bits: 1 of 5",
        "pictures with several frames or pages, of which the first is used: 1 of 5",
    )


def test_nothing_is_said_of_a_plain_set(folder: Path) -> None:
    assert read_pictures(folder, None, None).remarks == ()
    assert BenignSet(folder, ((folder / "0.png", "a"),)).remarks == ()


# What is not a set


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "part.tar", "0.txt"])
def test_metadata_in_a_folder_inside_is_pointed_at(tmp_path: Path, name: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name).touch()
    (tmp_path / "train" / "0.png").touch()
    with pytest.raises(InputError, match=r"The folder .*train in it has them: name that folder"):
        read_pictures(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("metadata.parquet", "Parquet"),
        ("data/train-00000-of-00001.parquet", "Parquet"),
        ("data-00000-of-00001.arrow", "Arrow"),
        ("images.zip", "ZIP"),
        ("images.tar.gz", "gzip"),
    ],
)
def test_other_containers_are_refused_with_what_to_do(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=rf"in it is {kind}, which is not read: export the pictures, with metadata"
    ):
        read_pictures(tmp_path)


# Pictures that went wrong before


def test_a_photograph_is_upright(tmp_path: Path) -> None:
    stored = np.zeros((64, 32, 3), np.uint8)
    stored[:32], stored[32:] = (0, 0, 255), (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    one = _alone(
        tmp_path / "a", Image.fromarray(stored), "a.jpg", exif=exif, quality=95, subsampling=0
    )
    shown = read_rgb(read_pictures(one).pictures[0])
    assert shown.shape == (32, 64, 3)
    np.testing.assert_allclose(shown[:, :32], np.full((32, 32, 3), (255, 0, 0)), atol=4)
    np.testing.assert_allclose(shown[:, 32:], np.full((32, 32, 3), (0, 0, 255)), atol=4)


def test_a_ramp_of_16_bits_is_a_ramp(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint16) * 1040, (64, 1))
    one = _alone(tmp_path / "a", Image.fromarray(ramp), "a.png")
    shown = read_rgb(read_pictures(one).pictures[0])
    expected = np.repeat(np.linspace(0, 255, 64)[None, :, None], 3, axis=2)
    np.testing.assert_allclose(shown, np.broadcast_to(expected, (64, 64, 3)), atol=1)


def test_a_drawing_on_transparent_ground_is_black_on_white(tmp_path: Path) -> None:
    drawing = np.zeros((64, 64, 4), np.uint8)
    drawing[24:40, 24:40, 3] = 255
    one = _alone(tmp_path / "a", Image.fromarray(drawing), "a.png")
    expected = np.full((64, 64, 3), 255)
    expected[24:40, 24:40] = 0
    np.testing.assert_array_equal(read_rgb(read_pictures(one).pictures[0]), expected)


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "one colour": (
        lambda: picture_of(Image.new("RGB", (64, 64), (128, 128, 128))),
        "shows nothing: all of its pixels have one colour. Take it out",
    ),
    "empty": (lambda: b"", "it is empty; fetch it again"),
    "a pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "is a git-lfs pointer and not the file itself: fetch it with",
    ),
    "HEIC": (
        lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "it is HEIC; convert it to PNG or JPEG",
    ),
    "32 bits": (
        lambda: picture_of(Image.fromarray(np.eye(9, dtype=np.int32)), "TIFF"),
        "which have no customary range; save it with 8 or 16 bits",
    ),
}


@pytest.mark.parametrize(("data", "sentence"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("caption", ["text", None])
def test_a_picture_that_cannot_be_used_is_refused_by_file_and_row(
    folder: Path, data: Callable[[], bytes], sentence: str, caption: str | None
) -> None:
    (folder / "1.png").write_bytes(data())
    _describe(folder, *({"file_name": f"{row}.png", "text": "a"} for row in range(3)))
    with pytest.raises(
        InputError, match=rf"^.*metadata\.jsonl, line 2: The picture .*1\.png .*{sentence}"
    ) as found:
        read_pictures(folder, None, caption)
    assert "\n" not in str(found.value)
    # As a picture without a description.
    (folder / "metadata.jsonl").unlink()
    with pytest.raises(InputError, match=rf"The picture .*1\.png .*{sentence}"):
        read_pictures(folder, None, None)
