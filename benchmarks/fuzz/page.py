"""docs/fuzz.md, from the tallies of all parsers and both engines."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from benchmarks.fuzz.child import MOST_BYTES, MOST_SECONDS
from benchmarks.fuzz.tally import Tally
from benchmarks.markdown import table
from benchmarks.numbers import STRICT, Numbers

ENGINES: tuple[Literal["hypothesis"], Literal["atheris"]] = ("hypothesis", "atheris")


class Row(BaseModel):
    """What a parser did with the inputs of an engine."""

    model_config = STRICT

    parser: str
    engine: Literal["hypothesis", "atheris"]
    inputs: int
    read: int
    """Inputs that were read to their end."""
    slowest: float
    """Seconds of this process."""
    findings: list[str] = []
    """How other inputs ended than in being read or refused in a sentence."""


class Fuzz(Numbers):
    """All parsers."""

    schema_: Literal["spqr-fuzz/1"] = Field(default="spqr-fuzz/1", alias="schema")
    torch: str
    rows: list[Row]


def rows(out: Path) -> list[Row]:
    """The rows of the tallies in a folder, by parser; those of both engines beside each other."""
    found = []
    for engine in ENGINES:
        for path in sorted((out / engine).glob("*/tally.json")):
            tally = Tally.read(path.parent)
            found.append(
                Row(
                    parser=path.parent.name,
                    engine=engine,
                    inputs=tally.inputs,
                    read=tally.read_whole,
                    slowest=round(tally.slowest, 2),
                    findings=[one.what for one in tally.findings],
                )
            )
    return sorted(found, key=lambda row: (row.parser, ENGINES.index(row.engine)))


def page(found: Fuzz) -> str:
    """The page."""
    inputs, findings = (
        sum(row.inputs for row in found.rows),
        sum(len(row.findings) for row in found.rows),
    )
    text = f"""\
# Files that nobody meant to write

Made by `python -m benchmarks.fuzz`, by each of its two engines; the numbers are in
[fuzz.json](fuzz.json). {inputs:,} inputs were given to the parsers of everything that comes from
outside: valid small files with a part of them changed, the checksums and directories around it made
right again. hypothesis draws what is changed, removed or repeated (up to 100,000 times, 1 MB at
most); atheris changes files by the lines of the suite that they reach (64 KiB at most).

{findings} of them ended otherwise than in being read, or refused by a sentence that names the file;
the limits are {MOST_SECONDS} seconds of the process and {MOST_BYTES / 2**30:.0f} GB of memory.
torch was {found.torch}.

"""
    return text + table(
        ("parser", "engine", "inputs", "read whole", "slowest, s", "findings"),
        [
            (
                row.parser,
                row.engine,
                f"{row.inputs:,}",
                f"{row.read:,}",
                f"{row.slowest:.2f}",
                "; ".join(row.findings) or "0",
            )
            for row in found.rows
        ],
    )
