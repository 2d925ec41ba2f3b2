"""JSON files: objects that need no further checks, or an error."""

import json
import tracemalloc
from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.store import json_file


def test_an_object_is_read(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True], "ünicode": {"b": "日本"}}
    (tmp_path / "a.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    assert json_file.read(tmp_path / "a.json") == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "is not JSON that can be read"),
        (b"", "is not JSON that can be read"),
        (b"\xff\xfe", "is not JSON that can be read"),
        (b"[" * 100_000, "is not JSON that can be read"),
        (b'{"a":' * 100_000, "is not JSON that can be read"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "is not JSON that can be read"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not JSON that can be read"),
        (b'{"a": "\\ud800"}', "is not JSON that can be read"),
        (b'{"\\ud800": 1}', "is not JSON that can be read"),
        (b"[]", "holds no JSON object"),
        (b"3", "holds no JSON object"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: bytes, sentence: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(InputError, match=rf"a\.json {sentence}"):
        json_file.read(tmp_path / "a.json")


def test_nesting_within_bounds_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a":' * 60 + "1" + "}" * 60, encoding="utf-8")
    assert json_file.read(tmp_path / "a.json").keys() == {"a"}


def test_a_file_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as sparse:
        sparse.truncate(2**34)
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"it has {2**34} bytes, and at most \d+ are accepted"):
        json_file.read(tmp_path / "a.json")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json cannot be read \(No such file"):
        json_file.read(tmp_path / "gone.json")
