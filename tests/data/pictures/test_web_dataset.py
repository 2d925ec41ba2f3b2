"""WebDatasets: unpacked once, under names of our own, and refused where a tar is hostile or
damaged.
"""

import errno
import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.data.pictures import web_dataset
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store.store import Store
from tests.data.pictures.conftest import picture, write_tar


def _members(numbers: range) -> dict[str, bytes]:
    members = {}
    for number in numbers:
        members[f"{number:04d}.jpg"] = picture(number, "JPEG")
        members[f"{number:04d}.txt"] = f"caption {number}\n".encode()
    return members


def test_pictures_and_captions_are_those_of_the_tars_in_order(tmp_path: Path, store: Store) -> None:
    for shard in (1, 0):
        write_tar(tmp_path / f"part-{shard}.tar", _members(range(3 * shard, 3 * shard + 3)))
    found = read_pictures(tmp_path, store=store)
    assert [caption for _, caption in found.pairs] == [f"caption {number}" for number in range(6)]
    assert [path.read_bytes() for path, _ in found.pairs] == [
        picture(number, "JPEG") for number in range(6)
    ]
    assert found.pairs[4][0].name == "000004-part-1-0004.jpg"
    assert found.folder.is_relative_to(store.folder)
    assert read_pictures(tmp_path, 4, store=store).pairs[3][1] == "caption 3"
    with pytest.raises(InputError, match=r"holds 6 pictures, but the protocol asks for 7\."):
        read_pictures(tmp_path, 7, store=store)


def test_the_set_is_that_of_the_same_image_folder(tmp_path: Path, store: Store) -> None:
    tar = write_tar(tmp_path / "a.tar", _members(range(2)))
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.jpg").write_bytes(picture(number, "JPEG"))
    lines = [
        json.dumps({"file_name": f"{number}.jpg", "text": f"caption {number}"})
        for number in range(2)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    assert read_pictures(tar, store=store).digest == read_pictures(folder).digest


def test_tars_that_are_not_needed_are_not_opened(tmp_path: Path, store: Store) -> None:
    write_tar(tmp_path / "0.tar", _members(range(3)))
    (tmp_path / "1.tar").write_bytes(b"no tar")
    assert len(read_pictures(tmp_path, 3, store=store).pairs) == 3
    with pytest.raises(InputError, match=r"1\.tar is not a tar archive"):
        read_pictures(tmp_path, 4, store=store)


def test_a_set_is_unpacked_once_and_again_when_it_was_damaged(tmp_path: Path, store: Store) -> None:
    tar = write_tar(tmp_path / "a.tar", _members(range(3)))
    first = read_pictures(tar, store=store)
    path = first.pairs[1][0]
    stamp = path.stat().st_mtime_ns
    assert read_pictures(tar, store=store) == first
    assert path.stat().st_mtime_ns == stamp
    path.write_bytes(picture(200, "JPEG"))
    again = read_pictures(tar, store=store)
    assert again == first
    assert again.digest == first.digest
    assert not list(store.folder.rglob(".unpacking*"))


def test_captions_may_be_in_a_key_of_json(tmp_path: Path, store: Store) -> None:
    members = {
        "a.PNG": picture(),
        "a.txt": b"text",
        "a.json": json.dumps({"caption": "json", "text": "own"}).encode(),
    }
    tar = write_tar(tmp_path / "a.tar", members)
    assert read_pictures(tar, store=store).pairs[0][1] == "text"
    assert read_pictures(tar, caption="caption", store=store).pairs[0][1] == "json"
    del members["a.txt"]
    assert read_pictures(write_tar(tar, members), store=store).pairs[0][1] == "own"


def test_members_may_come_in_any_order_and_with_others(tmp_path: Path, store: Store) -> None:
    members = {
        "x/b.txt": b"b",
        "x/a.seg.png": b"no picture of ours",
        "x/._a.jpg": b"what a Mac adds",
        "README.md": b"read",
        "x/a.webp": picture(1, "WEBP"),
        "x/b.jpeg": picture(2, "JPEG"),
        "x/a.txt": b"\xef\xbb\xbfa",
    }
    found = read_pictures(write_tar(tmp_path / "a.tar", members), store=store)
    assert [(path.suffix, caption) for path, caption in found.pairs] == [
        (".jpeg", "b"),
        (".webp", "a"),
    ]


def _bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


BAD = {
    "a name that leads out": (
        {"../a.jpg": picture(), "../a.txt": b"a"},
        r"holds '\.\./a\.jpg', a path outside the archive",
    ),
    "an absolute name": (
        {"/etc/a.jpg": picture(), "/etc/a.txt": b"a"},
        "holds '/etc/a.jpg', a path outside the archive",
    ),
    "a picture without a caption": (
        {"a.jpg": picture(1, "JPEG")},
        r"'a\.jpg' has no caption: there is no a\.txt or a\.json",
    ),
    "a caption without a picture": (
        {"a.txt": b"a"},
        r"holds no pictures for the key 'a', not one: 'a\.txt'",
    ),
    "two pictures": (
        {"a.jpg": picture(), "a.png": picture(), "a.txt": b"a"},
        "holds 2 pictures for the key 'a'",
    ),
    "an empty caption": ({"a.png": picture(), "a.txt": b" \n"}, r"'a\.txt' is an empty caption"),
    "a caption of another encoding": (
        {"a.png": picture(), "a.txt": b"\xe9"},
        r"'a\.txt' is not readable: expected UTF-8 text or JSON",
    ),
    "a caption's file that is no JSON": (
        {"a.png": picture(), "a.json": b"{"},
        r"'a\.json' is not readable: expected UTF-8 text or JSON",
    ),
    "JSON nested without end": (
        {"a.png": picture(), "a.json": b"[" * 100_000},
        r"'a\.json' is not readable: expected UTF-8 text or JSON",
    ),
    "half a character": (
        {"a.png": picture(), "a.json": b'{"text": "\\ud83d"}'},
        r"'a\.json' is not readable: expected UTF-8 text or JSON",
    ),
    "JSON without the key": (
        {"a.png": picture(), "a.json": b'{"caption": "a"}'},
        "expected an object in which text is the",
    ),
    "a caption that is too long": (
        {"a.png": picture(), "a.txt": b"a" * (2**20 + 1)},
        r"'a\.txt' has 1048577 bytes; at most",
    ),
    "no picture": ({"a.png": b"a", "a.txt": b"a"}, r"'a\.png': The picture cannot be read"),
    "a picture of another format": (
        {"a.png": picture(0, "GIF"), "a.txt": b"a"},
        r"'a\.png': The picture cannot be read",
    ),
    "a decompression bomb": (
        {"a.png": _bomb(), "a.txt": b"a"},
        r"'a\.png': The picture cannot be read \(.*decompression bomb",
    ),
    "nothing": ({}, "holds 0 pictures, but the protocol asks for 1"),
}


@pytest.mark.parametrize(("members", "sentence"), BAD.values(), ids=BAD)
def test_a_tar_that_cannot_be_used_is_refused_by_member(
    tmp_path: Path, store: Store, members: Mapping[str, bytes], sentence: str
) -> None:
    tar = write_tar(tmp_path / "a.tar", members)
    before = set(tmp_path.parent.rglob("*.png"))
    with pytest.raises(InputError, match=sentence):
        read_pictures(tar, store=store)
    assert set(tmp_path.parent.rglob("*.png")) == before


def test_a_member_that_comes_twice_is_refused(tmp_path: Path, store: Store) -> None:
    tar = write_tar(tmp_path / "a.tar", {"a.png": picture(), "a.txt": b"a", "A.png": picture()})
    data = tar.read_bytes()
    tar.write_bytes(data.replace(b"A.png", b"a.png"))
    with pytest.raises(InputError, match=r"a\.tar (holds 'a\.png' twice|is damaged)"):
        read_pictures(tar, store=store)
    with tarfile.open(tar, "w") as archive:
        for _ in range(2):
            member = tarfile.TarInfo("a.txt")
            archive.addfile(member, io.BytesIO())
    with pytest.raises(InputError, match=r"holds 'a\.txt' twice"):
        read_pictures(tar, store=store)


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
def test_what_is_no_plain_file_is_refused(tmp_path: Path, store: Store, kind: bytes) -> None:
    tar = write_tar(tmp_path / "a.tar", _members(range(1)))
    with tarfile.open(tar, "a") as archive:
        link = tarfile.TarInfo("0001.jpg")
        link.type, link.linkname = kind, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match=r"'0001\.jpg' is not a plain file|a\.tar is damaged"):
        read_pictures(tar, store=store)


def test_a_compressed_tar_is_refused_with_what_is_expected(tmp_path: Path, store: Store) -> None:
    tar = write_tar(tmp_path / "a.tar", _members(range(1)))
    tar.write_bytes(gzip.compress(tar.read_bytes()))
    with pytest.raises(
        InputError,
        match=r"a\.tar is not a tar archive \(decompress it first if it is compressed\)",
    ):
        read_pictures(tar, store=store)


def test_a_tar_that_is_cut_off_anywhere_is_refused(tmp_path: Path, store: Store) -> None:
    whole = write_tar(tmp_path / "whole.tar", _members(range(2))).read_bytes()
    end = len(whole.rstrip(b"\0"))
    end += -end % 512
    for length in [*range(0, end + 1, 512), *range(300, end, 1024)]:
        (tmp_path / "a.tar").write_bytes(whole[:length])
        with pytest.raises(
            InputError, match=r"a\.tar is (damaged or cut off: fetch it again|not a tar archive)"
        ):
            read_pictures(tmp_path / "a.tar", store=store)


def test_a_header_that_is_damaged_is_not_taken_for_the_end(tmp_path: Path, store: Store) -> None:
    tar = write_tar(tmp_path / "a.tar", _members(range(3)))
    data = bytearray(tar.read_bytes())
    with tarfile.open(tar) as archive:
        offset = archive.getmembers()[2].offset
    data[offset + 150] ^= 1  # in the checksum
    tar.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tar is damaged or cut off"):
        read_pictures(tar, store=store)


@pytest.mark.parametrize("size", ["-512", "-1024", "-99999999999", "9" * 30, "1" * 5000])
def test_a_size_that_is_a_lie_is_refused(tmp_path: Path, store: Store, size: str) -> None:
    # In a PAX header, which overrides the plain one; a negative one led tarfile in circles
    # (CVE-2025-8194).
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("a.png", "b.png"):
            member = tarfile.TarInfo(name)
            member.size = 512
            member.pax_headers = {"size": size}
            archive.addfile(member, io.BytesIO(bytes(512)))
    with pytest.raises(InputError, match=r"a\.tar|a\.png"):
        read_pictures(tar, store=store)


def test_garbage_is_refused(tmp_path: Path, store: Store) -> None:
    for data in (b"", b"a" * 2048, bytes(512), b"\x80" * 1024):
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.tar"):
            read_pictures(tmp_path / "a.tar", store=store)


def test_a_tar_behind_a_link_out_of_its_folder_is_refused(tmp_path: Path, store: Store) -> None:
    write_tar(tmp_path / "a.tar", _members(range(1)))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.tar").symlink_to(tmp_path / "a.tar")
    with pytest.raises(InputError, match=r"a\.tar is a link to .*, outside of"):
        read_pictures(folder, store=store)
    assert len(read_pictures(folder / "a.tar", store=store).pairs) == 1


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_store_that_cannot_be_written_is_named(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar = write_tar(tmp_path / "a.tar", _members(range(1)))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", _full)
        with pytest.raises(
            EvidenceError, match=r"The store could not write .*unpacked.*: free spac"
        ):
            read_pictures(tar, store=store)
    monkeypatch.setattr(web_dataset, "_MAX_MEMBERS", 1)
    with pytest.raises(InputError, match=r"a\.tar is damaged"):
        read_pictures(tar, store=store)
