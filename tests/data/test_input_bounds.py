"""Sets that would take gigabytes or minutes are refused with a sentence."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.data.prompts import reading
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import PromptsSettings
from spqr_tests.store.store import Store
from tests.data.pictures.conftest import picture

COLUMNS = [f"c{number}" for number in range(20_000)]


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t")])
def test_thousands_of_columns_are_refused(tmp_path: Path, suffix: str, mark: str) -> None:
    path = tmp_path / f"set{suffix}"
    path.write_text(mark.join(COLUMNS) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1 names 20000 columns; at most 1000 are read"):
        reading.read(path, PromptsSettings(prompts="a"), role="benign")


def test_thousands_of_columns_of_metadata_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="has 20000 columns; at most 1000 are read"):
        read_pictures(tmp_path)


@pytest.mark.parametrize(
    ("caption", "sentence"),
    [
        ("x" * 10**7, "the caption of 0.png has 10000000 characters, and at most 100000 are read"),
        (["x"] * 1001, "0.png has 1001 captions, and at most 1000 are read"),
    ],
    ids=["long", "many"],
)
def test_a_caption_without_an_end_is_refused(
    tmp_path: Path, caption: object, sentence: str
) -> None:
    (tmp_path / "0.png").write_bytes(picture())
    row = json.dumps({"file_name": "0.png", "text": caption})
    (tmp_path / "metadata.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        read_pictures(tmp_path)


def test_images_without_an_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    rows = "".join(json.dumps({"prompt": f"a {number}"}) + "\n" for number in range(1001))
    path.write_text(rows, encoding="utf-8")
    settings = PromptsSettings(prompts="a", images_per_prompt=10_000)
    known = reading.read(path, settings, role="benign")
    with pytest.raises(InputError, match="are 10,010,000 images, and at most 10,000,000 are"):
        known.chosen(settings)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("first", [True, False])
def test_a_tar_whose_headers_take_quadratic_time_is_refused(
    tmp_path: Path, store: Store, kind: bytes, *, first: bool
) -> None:
    extension, content = tarfile.TarInfo("a"), b"1" * 500_000
    extension.type, extension.size = kind, len(content)
    member = tarfile.TarInfo("a.png").tobuf()
    hostile = extension.tobuf() + content + bytes(-len(content) % 512) + member
    (tmp_path / "a.tar").write_bytes((b"" if first else member) + hostile + bytes(1024))
    with pytest.raises(InputError, match=r"a\.tar: a header in it has 500000 bytes"):
        read_pictures(tmp_path, store=store)


def test_a_tar_with_a_long_name_is_read(tmp_path: Path, store: Store) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for suffix, content in ((".png", picture()), (".txt", b"a caption")):
            member = tarfile.TarInfo("x" * 150 + "\u00e9" + suffix)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert [text for _, text in read_pictures(tmp_path, store=store).pairs] == ["a caption"]
