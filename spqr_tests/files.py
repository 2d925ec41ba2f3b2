"""Files from outside: where they are, and what they hold, or a sentence that says what is wrong."""

import json
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.errors import InputError

_LARGEST = 16 * 2**20
"""Bytes; the largest config in published pipelines is a tokenizer's, with 3.6 MB."""
_LARGEST_TOML = 2**20
"""Bytes; a protocol has a few thousand, and tomllib takes seconds for a megabyte."""
_DEEPEST = 64
_WIDEST = 2**64
# What a TOML text has in quotes, and its comments: as tomllib reads them up to its first error.
_TOML_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
    r"|\#[^\n]*+",
    re.DOTALL,
)
_TOML_KEY = re.compile(r"[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++)*+")
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: the first line of every pointer.
_POINTER = b"version https://git-lfs.github.com/spec/"
_START = 64
# Linux has 4096, Windows 32767.
_LONGEST_PATH = 32_767


def place(given: str | Path, folder: Path, option: str = "") -> Path:
    """The path that a user means: `~` is the home folder, and a relative path is in `folder`.

    `InputError` names `option` when nobody knows the home folder. Every path from an option or a
    protocol is resolved here.
    """
    named = f"{option}={given}" if option else f"The path {given}"
    if len(str(given)) > _LONGEST_PATH:
        raise InputError(
            f"{quotes.cut(named)} is a path of {len(str(given))} characters, and no file has one of"
            f" more than {_LONGEST_PATH}."
        )
    if "\0" in str(given):
        raise InputError(f"{quotes.quoted(named)} holds a NUL character, which no path does.")
    try:
        return folder / Path(given).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{named} begins with ~, and this machine knows no such home folder; give the path"
            " in full."
        ) from error


def require_no_pointer(path: Path, start: bytes, what: str = "") -> None:
    """`InputError` when a file that starts with these bytes is a git-lfs pointer.

    Git leaves one in place of a large file that was not fetched. `what` says what the file should
    be, as the subject of a sentence ('The prompt set').
    """
    if start.startswith(_POINTER):
        raise InputError(
            f"{_subject(path, what)} is a git-lfs pointer and not the file itself: fetch it with"
            " `git lfs pull` where it was cloned, or download it again."
        )


def start(path: Path, what: str = "") -> bytes:
    """The first 64 bytes of a file.

    `InputError` for what cannot be read, is not a regular file, or is a git-lfs pointer.
    """
    return _read(path, what, "", _START, None)


def data(path: Path, what: str = "", expected: str = "", *, most: int = _LARGEST) -> bytes:
    """The bytes of a regular file of at most `most` bytes.

    `InputError` for anything else and for a git-lfs pointer. Its sentence begins with `what`;
    `expected` is a sentence that follows when the file cannot be read.
    """
    return _read(path, what, expected, None, most)


def text(path: Path, what: str = "", expected: str = "", *, most: int = _LARGEST) -> str:
    """The text of a file in UTF-8, without a byte order mark; `InputError` as from `data`."""
    found = data(path, what, expected, most=most)
    if found.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{_subject(path, what)} is UTF-16 text; save it as UTF-8.")
    try:
        decoded = found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{_subject(path, what)} is not UTF-8 text (line {line}); save it as UTF-8."
        ) from error
    if "\0" in decoded:
        line = decoded.count("\n", 0, decoded.index("\0")) + 1
        raise InputError(
            f"{_subject(path, what)} holds a NUL byte (line {line}): the file is damaged, or not"
            " text."
        )
    return decoded


def toml(path: Path, what: str = "", expected: str = "") -> dict[str, Any]:
    """The tables of a TOML file; `InputError` names the line that is not TOML."""
    found = text(path, what, expected, most=_LARGEST_TOML)
    try:
        _require_short_keys(found)
        value = tomllib.loads(found)
        require_plain(value, widest=_WIDEST)
    except tomllib.TOMLDecodeError as error:
        end = f"at line {found.count(chr(10)) + 1}, the end of the document"
        reason = str(error).replace("at end of document", end)
        raise InputError(f"{_subject(path, what)} is not TOML: {reason}.") from error
    except (ValueError, RecursionError) as error:
        # A ValueError is a number with more digits than Python converts.
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{_subject(path, what)} is not TOML that can be read ({reason}).") from (
            error
        )
    return value


def json_object(path: Path, what: str = "", *, most: int = _LARGEST) -> dict[str, Any]:
    """The object in a JSON file, at most 64 levels deep; `InputError` for anything else."""
    found = text(path, what, most=most)
    try:
        value = json.loads(found)
        require_plain(value)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{_subject(path, what)} is not JSON (line {error.lineno}: {error.msg})."
        ) from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{_subject(path, what)} is not JSON that can be read ({reason}).") from (
            error
        )
    if not isinstance(value, dict):
        raise InputError(f"{_subject(path, what)} holds no JSON object.")
    return value


def require_plain(value: Any, *, widest: int | None = None) -> None:
    """`ValueError` for a JSON value that later code cannot handle.

    That is nesting too deep for recursion, text with half of a surrogate pair, and whole numbers
    from `widest`.
    """
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.keys()
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and not one.isascii():
                one.encode()  # raises for half of a surrogate pair
            elif widest is not None and isinstance(one, int) and abs(one) >= widest:
                raise ValueError("a whole number in it has more than 64 bits")
        if not inner:
            return
        level = inner
    raise ValueError("nested too deeply")


def _require_short_keys(toml_text: str) -> None:
    """`RecursionError` for a key of more parts than tables may be deep.

    tomllib takes memory by the square of their number.
    """
    # A quoted part of a key is one word more; a comment ends a line anyway.
    unquoted = _TOML_TEXT.sub(lambda found: "" if found[0][0] == "#" else "q", toml_text)
    if any(found[0].count(".") >= _DEEPEST for found in _TOML_KEY.finditer(unquoted)):
        raise RecursionError


def _read(path: Path, what: str, expected: str, count: int | None, most: int | None) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            # Reading a named pipe would wait for a writer.
            kind = "folder" if stat.S_ISDIR(found.st_mode) else "pipe or device"
            raise InputError(
                f"{_subject(path, what)} is a {kind}; expected a file.{_after(expected)}"
            )
        if most is not None and found.st_size > most:
            raise InputError(
                f"{_subject(path, what)} has {found.st_size} bytes; at most {most} are accepted"
                " there."
            )
        with path.open("rb") as file:
            # A file may grow, and some of the kernel's have no size.
            content = file.read(most + 1 if count is None and most is not None else count)
    except OSError as error:
        raise InputError(
            f"{_subject(path, what)} cannot be read ({error.strerror}).{_after(expected)}"
        ) from error
    if most is not None and len(content) > most:
        raise InputError(
            f"{_subject(path, what)} has more than {most} bytes, which are accepted there."
        )
    require_no_pointer(path, content, what)
    return content


def _subject(path: Path, what: str) -> str:
    return f"{what} {path}" if what else str(path)


def _after(expected: str) -> str:
    return f" {expected}" if expected else ""
