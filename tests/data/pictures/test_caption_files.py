"""Caption files: the folders of LoRA trainers, with one caption a picture or a sentence."""

from pathlib import Path

import pytest

from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.errors import InputError
from tests.data.pictures.conftest import picture


def _captions(folder: Path, extension: str = "txt", text: str = "a house\n") -> Path:
    for number in range(3):
        (folder / f"{number}.{extension}").write_text(f"{number} {text}", encoding="utf-8")
    return folder


def _texts(found: BenignSet) -> list[str]:
    return [caption for _, caption in found.pairs]


@pytest.mark.parametrize("extension", ["txt", "caption"])
def test_each_picture_has_the_caption_beside_it(folder: Path, extension: str) -> None:
    found = read_pictures(_captions(folder, extension))
    assert found.pairs == tuple(
        (folder / f"{number}.png", f"{number} a house") for number in range(3)
    )
    assert found.remarks == ()
    assert read_pictures(folder, 2).pairs == found.pairs[:2]
    assert read_pictures(folder, caption=extension) == found


def test_a_set_is_that_of_the_same_image_folder(folder: Path) -> None:
    own = read_pictures(_captions(folder)).digest
    rows = "".join(f"{number}.png,{number} a house\n" for number in range(3))
    (folder / "metadata.csv").write_text(f"file_name,text\n{rows}")
    assert read_pictures(folder).digest == own


def test_names_may_have_dots_and_capitals_and_files_byte_order_marks(folder: Path) -> None:
    (folder / "0.png").rename(folder / "a.b.PNG")
    _captions(folder)
    (folder / "0.txt").rename(folder / "a.b.txt")
    (folder / "1.txt").write_bytes(b"\xef\xbb\xbfone\r\n\r\n")
    assert _texts(read_pictures(folder)) == ["one", "2 a house", "0 a house"]


def test_pictures_to_compare_with_need_no_captions(folder: Path) -> None:
    found = read_pictures(_captions(folder), None, None)
    assert _texts(found) == [""] * 3
    assert found.notes == (
        "files and folders that are not pictures are left out: 3, such as 0.txt",
    )


def test_two_captions_are_told_apart_by_the_protocol(folder: Path) -> None:
    _captions(_captions(folder), "caption", "other")
    with pytest.raises(
        InputError,
        match=r"0\.png has captions in 0\.txt and in 0\.caption: set caption to txt or caption in",
    ):
        read_pictures(folder)
    assert _texts(read_pictures(folder, caption="txt"))[0] == "0 a house"
    found = read_pictures(folder, caption="caption")
    assert _texts(found)[0] == "0 other"
    assert found.notes == (
        "files that are neither pictures nor their captions are left out: 3, such as 0.txt",
    )


def test_what_belongs_to_no_picture_is_left_out_and_said(folder: Path) -> None:
    (_captions(folder) / "notes.txt").write_text("about these pictures")
    (folder / ".hidden.txt").touch()
    assert read_pictures(folder).remarks == (
        "files that are neither pictures nor their captions are left out: 1, such as notes.txt",
    )


def test_pictures_of_one_caption_are_refused(folder: Path) -> None:
    (_captions(folder) / "0.jpg").write_bytes(picture(5, "JPEG"))
    with pytest.raises(InputError, match=r"0\.jpg and 0\.png share one caption file; give one"):
        read_pictures(folder)


BAD = {
    "nothing": (b"", r"0\.png has no caption"),
    "spaces": (b" \n\n", r"0\.png has no caption"),
    "several lines": (b"a house\na tree\n", r"The caption .*0\.txt has 2 lines, .*keep one line"),
    "lines of an old Mac": (b"a house\ra tree", r"The caption .*0\.txt has 2 lines"),
    "another encoding": (b"\xe9", r"The caption .*0\.txt is not UTF-8 text"),
    "UTF-16": ("a".encode("utf-16"), r"The caption .*0\.txt is UTF-16 text"),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        r"The caption .*0\.txt is a git-lfs pointer",
    ),
    "too much": (b"a" * (2**20 + 1), r"The caption .*0\.txt has 1048577 bytes; at most"),
}


@pytest.mark.parametrize(("data", "sentence"), BAD.values(), ids=BAD)
def test_a_caption_that_cannot_be_used_is_named(folder: Path, data: bytes, sentence: str) -> None:
    (_captions(folder) / "0.txt").write_bytes(data)
    with pytest.raises(InputError, match=sentence):
        read_pictures(folder)
    # It is not asked for.
    (folder / "0.txt").rename(folder / "9.txt")
    (folder / "0.png").rename(folder / "9.png")
    assert len(read_pictures(folder, 2).pairs) == 2


def test_a_picture_without_a_caption_is_named(folder: Path) -> None:
    (_captions(folder) / "1.txt").unlink()
    with pytest.raises(
        InputError, match=r"1\.png has no caption: expected 1\.txt or 1\.caption beside it\. Write"
    ):
        read_pictures(folder)
    with pytest.raises(InputError, match=r"0\.png has no caption: expected 0\.prompt beside it"):
        read_pictures(folder, caption="prompt")


def test_a_caption_that_is_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder.parent / "outside.txt").write_text("a secret")
    (_captions(folder) / "0.txt").unlink()
    (folder / "0.txt").symlink_to(folder.parent / "outside.txt")
    with pytest.raises(InputError, match=r"0\.txt is a link to .*outside\.txt, outside of"):
        read_pictures(folder)


@pytest.mark.parametrize("captioned", [False, True])
@pytest.mark.parametrize("suffix", ["HEIC", "avif", "jxl", "svg", "jp2"])
def test_a_picture_in_another_format_is_not_left_out_in_silence(
    folder: Path, suffix: str, *, captioned: bool
) -> None:
    (_captions(folder) / f"a.{suffix}").touch()
    with pytest.raises(
        InputError, match=rf"The picture .*a\.{suffix} is in a format that is not read: convert it"
    ):
        read_pictures(folder, None, "text" if captioned else None)
