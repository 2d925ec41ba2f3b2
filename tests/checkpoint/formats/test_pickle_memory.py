"""Pickles that would take gigabytes or minutes."""

import time
import zipfile
from pathlib import Path

import pytest

from spqr_tests.checkpoint.formats.pickle_file import PickleFile
from spqr_tests.errors import InputError


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_gigabytes_is_refused(tmp_path: Path, *, zipped: bool) -> None:
    path, asking = tmp_path / "a.ckpt", b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", asking)
    else:
        path.write_bytes(asking)
    with pytest.raises(InputError, match=r"names builtins\.bytearray, which is neither"):
        PickleFile(path)


@pytest.mark.parametrize("asking", [b"ccollections" + b"n" * 500_000 + b"\na\n.", b"Q" * 500_000])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_name_without_an_end_is_refused_at_once(
    tmp_path: Path, asking: bytes, *, zipped: bool
) -> None:
    path, content = tmp_path / "a.ckpt", b"\x80\x02" + asking
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", content)
    else:
        path.write_bytes(content)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"its pickle holds a word of 5000\d\d characters"):
        PickleFile(path)
    assert time.monotonic() - begun < 5
