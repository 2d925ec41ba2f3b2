"""The tutorials in docs/: their commands, what they say is printed, and the files they show."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.running import CHECKOUT

FOLDER = CHECKOUT / "docs" / "tutorials"
NAMES = tuple(sorted(path.name for path in FOLDER.glob("*.md")))
_BLOCK = re.compile(r'^```(\w+)(?: title="(\S+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_LEFT_OUT = "[...]"
# What differs between two runs, or between one machine and another, and what may be in its place.
_VARIES = {
    r"\[\.\.\.\]": ".*",
    r"(?<=\(hash )[0-9a-f]+": "[0-9a-f]{12}",
    r"\b(?:minutes|seconds|hours)\b": "(?:minutes|seconds|hours)",
    r"\b[KMGTP]?FLOP\b": "[KMGTP]?FLOP",
    r"[+-]?\d[\d.,]*(?<=\d)%?": r"[+-]?[\d.,]+%?",
    r"\b(?:images|prompts)(?= would give)": "(?:images|prompts)",
    r" +": " +",
}
_VARYING = re.compile("|".join(f"({one})" for one in _VARIES))


@dataclass(frozen=True)
class Tutorial:
    """A page's blocks, each kind in its order."""

    commands: tuple[str, ...]
    """The lines of blocks marked `console`."""
    outputs: tuple[str, ...]
    """Blocks marked `text`: what a command before them prints, with parts left out."""
    files: dict[str, str]
    """By the name that is the block's title."""
    python: tuple[str, ...]
    text: str


def read(name: str) -> Tutorial:
    """The page of this name; every block on it is of a kind that a test looks at."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text)
    assert 2 * len(blocks) == text.count("```"), f"{name} has a block of no kind"
    of = {
        kind: tuple(body.rstrip("\n") for one, title, body in blocks if one == kind and not title)
        for kind in ("console", "text", "python")
    }
    files = {title: body for _, title, body in blocks if title}
    assert len(blocks) == sum(map(len, of.values())) + len(files), f"{name} has another block"
    commands = tuple(line for block in of["console"] for line in block.split("\n"))
    return Tutorial(commands, of["text"], files, of["python"], text)


def shows(block: str, printed: str) -> None:
    """Check that a block's lines are printed, in their order: every word, and some number."""
    lines = iter(printed.splitlines())
    for line in block.split("\n"):
        if line == _LEFT_OUT:
            continue
        assert any(re.fullmatch(_pattern(line), one.rstrip()) for one in lines), (line, printed)


def _pattern(line: str) -> str:
    instead = (*_VARIES.values(),)
    pattern, end = "", 0
    for found in _VARYING.finditer(line):
        assert found.lastindex is not None
        pattern += re.escape(line[end : found.start()]) + instead[found.lastindex - 1]
        end = found.end()
    return pattern + re.escape(line[end:])


def write(folder: Path, files: dict[str, str], **instead: str) -> None:
    """Write a page's files, with a text in the place of another one."""
    for name, content in files.items():
        text = content
        for before, after in instead.items():
            assert before in text
            text = text.replace(before, after)
        (folder / name).write_text(text, encoding="utf-8")
