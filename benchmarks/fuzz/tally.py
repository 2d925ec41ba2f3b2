"""The tally of a parser: how many inputs it has read, and the findings among them."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_FILE = "tally.json"
_KEPT = 50


class Finding(NamedTuple):
    """An input that ended otherwise than in being read or refused."""

    what: str
    input: str
    """The name of the file that holds it."""


@dataclass
class Tally:
    """One parser's."""

    inputs: int = 0
    read_whole: int = 0
    refused: int = 0
    slowest: float = 0.0
    """Seconds."""
    findings: list[Finding] = field(default_factory=list)
    """One for each way in which an input ended."""

    def note(self, finding: Finding) -> None:
        """Keep a finding, unless one of the same kind is known."""
        if len(self.findings) < _KEPT and finding.what not in {one.what for one in self.findings}:
            self.findings.append(finding)

    @classmethod
    def read(cls, folder: Path) -> "Tally":
        """The tally in a folder; an empty one where there is none."""
        path = folder / _FILE
        if not path.is_file():
            return cls()
        table = json.loads(path.read_text(encoding="utf-8"))
        table["findings"] = [Finding(*one) for one in table["findings"]]
        return cls(**table)

    def write(self, folder: Path) -> None:
        """Write the tally into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{_FILE}.new"
        temporary.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        temporary.replace(folder / _FILE)
