"""Files from outside: what they hold, or a sentence that says what is wrong."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_tests import files
from spqr_tests.errors import InputError
from tests.seconds import at_once


def test_an_object_is_read(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True], "ünicode": {"b": "日本"}}
    (tmp_path / "a.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    assert files.json_object(tmp_path / "a.json") == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe", "is UTF-16 text"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "is not JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not JSON"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"\\ud800": 1}', "is not JSON"),
        (b"[]", "holds no JSON object"),
        (b"3", "holds no JSON object"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: bytes, sentence: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(InputError, match=rf"a\.json {sentence}"):
        files.json_object(tmp_path / "a.json")


def test_nesting_within_bounds_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a":' * 60 + "1" + "}" * 60, encoding="utf-8")
    assert files.json_object(tmp_path / "a.json").keys() == {"a"}


def test_a_file_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as sparse:
        sparse.truncate(2**34)
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"has {2**34} bytes; at most \d+ are accepted"):
        files.json_object(tmp_path / "a.json")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json cannot be read \(No such file"):
        files.json_object(tmp_path / "gone.json")


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 3438167534\n"


@pytest.mark.parametrize("read", [files.start, files.data, files.text, files.toml])
def test_a_git_lfs_pointer_is_named_as_that(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text(POINTER)
    with pytest.raises(
        InputError, match=r"weights\.safetensors is a git-lfs pointer .*`git lfs pull`"
    ):
        read(path)


@pytest.mark.parametrize("read", [files.start, files.data, files.text, files.toml])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe is a pipe or device; expected a file"):
        read(tmp_path / "pipe")
    with pytest.raises(InputError, match=r" is a folder; expected a file"):
        read(tmp_path)


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom"
    path.write_text('\ufeffname = "smoke"\n', encoding="utf-8")
    assert files.toml(path) == {"name": "smoke"}
    path.write_text('\ufeff{"a": 1}', encoding="utf-8")
    assert files.json_object(path) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = " + "[" * 100_000 + "]" * 100_000, r"is not TOML that can be read \(nested too"),
        ("a = " + "9" * 10_000, r"is not TOML that can be read \(.*digits"),
        ("a = ", "is not TOML: Invalid value .*line 1, the end of the document"),
        ("a = 1\na = 2\n", "is not TOML: Cannot overwrite a value .*line 2"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_toml_that_cannot_be_read_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "some.toml").write_text(text)
    expected = pytest.raises(InputError, match=f"^The protocol .*some\\.toml {sentence}")
    with at_once(), expected:
        files.toml(tmp_path / "some.toml", "The protocol")


def test_a_path_is_relative_to_its_folder_or_to_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert files.place("a/b", tmp_path) == tmp_path / "a" / "b"
    assert files.place("~/b", tmp_path) == tmp_path / "home" / "b"
    assert files.place("/b", tmp_path) == Path("/b")
    with pytest.raises(InputError, match=r"--spqr-report=~nobodyhere/out begins with ~, and"):
        files.place("~nobodyhere/out", tmp_path, "--spqr-report")
    with pytest.raises(InputError, match=r"holds a NUL character"):
        files.place("a\0b", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "a." * 100_000 + "a = 1",
        "[" + "a." * 100_000 + "a]",
        "[[" + "a . " * 100_000 + "a]]",
        "['x'" + '."y"' * 100_000 + "]",
        "a = {" + "b." * 100_000 + "b = 1}",
        'c = """"\n""""\n' + "a." * 100_000 + "a = 1",
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_toml_of_endless_keys_is_refused_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.toml is not TOML that can be read \(nested too"):
        files.toml(tmp_path / "a.toml")
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize("word", ["a", "true", "a ", "9"])
def test_a_word_without_an_end_takes_no_quadratic_time(tmp_path: Path, word: str) -> None:
    (tmp_path / "a.toml").write_text(word * (900_000 // len(word)), encoding="utf-8")
    with at_once(), pytest.raises(InputError, match="is not TOML"):
        files.toml(tmp_path / "a.toml")


def test_dots_in_texts_and_comments_are_no_keys(tmp_path: Path) -> None:
    dots = "a." * 1000
    text = f'b = \'{dots}\' # {dots}\nc = """{dots}""""\nd = [1.5, 2.5]\n'
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    assert files.toml(tmp_path / "a.toml") == {"b": dots, "c": f'{dots}"', "d": [1.5, 2.5]}


def test_a_number_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = 0x" + "f" * 5000, encoding="utf-8")
    with pytest.raises(InputError, match="a whole number in it has more than 64 bits"):
        files.toml(tmp_path / "a.toml")


def test_a_path_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a path of 100000 characters"):
        files.place("x" * 100_000, tmp_path, "--spqr-store")
