"""The user's data: where the sets are that a protocol names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spqr_tests import files, quotes
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import DataSettings
from spqr_tests.settings.protocol import Protocol

OPTION = "--spqr-data"
DATA = "data:"
# In prose, "data:" is followed by a space.
_NAMED = re.compile(rf"{DATA}\S+")


@dataclass(frozen=True)
class UserData:
    """The paths of what one protocol names: `data:NAME`, or a path relative to its folder."""

    folder: Path
    """The protocol's folder."""
    sets: Mapping[str, DataSettings] = field(default_factory=dict)
    given: Mapping[str, Path] = field(default_factory=dict)
    """Paths from `--spqr-data`, which go before the protocol's own."""

    def place(self, name: str) -> Path:
        """The path of `data:NAME`, or of the file or folder `name` in the protocol's folder.

        Raises `InputError` for a set that is not there.
        """
        if not name.startswith(DATA):
            return self.folder / name
        self.require([name])
        path = self._path(name.removeprefix(DATA))
        assert path is not None  # noqa: S101  for the type checker: `require` has seen it
        return path

    def require(self, named: Sequence[str], enough: Sequence[str] = (), scenario: str = "") -> None:
        """Check that all sets in `named` are known and there.

        `enough` are those of `named` that suffice for measuring `scenario` alone ("" for none).
        Raises `InputError`, with one message for all sets that are missing.
        """
        names = list(
            dict.fromkeys(name.removeprefix(DATA) for name in named if name.startswith(DATA))
        )
        for name in names:
            if name not in self.sets:
                raise InputError(
                    f"The protocol names {DATA}{name}, but has no table data.{name}; it has"
                    f" {self._known()}."
                )
        if missing := [name for name in names if not self._there(name)]:
            said = (
                "a set of data that is"
                if len(missing) == 1
                else f"{len(missing)} sets of data that are"
            )
            lines = [f"The protocol needs {said} not there:", *map(self._missing, missing)]
            lines.append(
                " ".join(["Say where each one is:", *(f"{OPTION} {name}=PATH" for name in missing)])
            )
            if scenario and (spared := [name for name in missing if f"{DATA}{name}" not in enough]):
                lines.append(
                    f"--spqr-scenarios {scenario} measures that scenario alone, which does not need"
                    f" {', '.join(spared)}."
                )
            raise InputError(*lines)

    def _path(self, name: str) -> Path | None:
        if name in self.given:
            return self.given[name]
        path = self.sets[name].path
        return None if path is None else files.place(path, self.folder)

    def _there(self, name: str) -> bool:
        path = self._path(name)
        return path is not None and path.exists()

    def _missing(self, name: str) -> str:
        one, path = self.sets[name], self._path(name)
        access = f"; access: {one.access}" if one.access else ""
        looked = "" if path is None else f"; {path} does not exist"
        return f"  {name}: {one.expects}; source: {one.source}{access}{looked}"

    def _known(self) -> str:
        return ", ".join(self.sets) or "none"


def given(options: Sequence[str], where: Path) -> dict[str, Path]:
    """The paths that `--spqr-data NAME=PATH` gives, relative to `where`, by name.

    Raises `InputError` for an option without a name or a path, and for a name that is given twice.
    """
    found: dict[str, Path] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise InputError(
                f"{OPTION} {option}: expected NAME=PATH, a set that the protocol names and its"
                " path."
            )
        if name in found:
            raise InputError(f"{OPTION} {option}: {name} is given twice.")
        found[name] = files.place(path, where, f"{OPTION} {name}")
    return found


def of(settings: Protocol, folder: Path, given: Mapping[str, Path]) -> UserData:
    """The data of a protocol, checked to be there.

    Raises `InputError` for a set that is missing, and for one that is given under a name that the
    protocol does not know.
    """
    own = UserData(folder, settings.data, given)
    for name, path in given.items():
        if name not in settings.data:
            known = ", ".join(settings.data) or "none"
            raise InputError(
                f"{OPTION} {name}={path}: the protocol {settings.name} names no set"
                f" {quotes.shown(name)}; it"
                f" names {known}."
            )
    headline = settings.score.headline_scenario
    alone = {name: one for name, one in settings.scenarios.items() if name == headline}
    enough = _named(settings.model_copy(update={"scenarios": alone}))
    own.require(_named(settings), enough, headline if alone else "")
    return own


def _named(settings: Protocol) -> list[str]:
    """Every `data:NAME` in a protocol."""
    return [
        text
        for text in _texts(settings.model_dump(mode="json", exclude={"data"}))
        if _NAMED.fullmatch(text)
    ]


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
