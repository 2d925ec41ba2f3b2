"""Protocols by name: the packaged ones, and those of installed packages with their data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from spqr_tests import packages, quotes
from spqr_tests.packages import Registered

PROTOCOLS_GROUP = "spqr_tests.protocols"
"""The entry-point group under which packages register protocols."""
_WHAT = "the protocol"
_THRESHOLDS = "thresholds.toml"


@dataclass(frozen=True)
class Protocols(Mapping[str, Path]):
    """The files of protocols by name: the suite's own first, then those of packages.

    Only the package of a protocol that is asked for is imported. `InputError` names one that cannot
    be used, and packages that claim a name which is taken.
    """

    own: Mapping[str, Path]

    def __getitem__(self, name: str) -> Path:
        """The file of a protocol; `KeyError` where nobody has it."""
        registered = self._registered(name)
        if name in self.own:
            return self.own[name]
        if registered is None:
            raise KeyError(name)
        return _file(registered)

    def __iter__(self) -> Iterator[str]:
        """All names; nothing is imported."""
        named = (one.name for one in packages.found(PROTOCOLS_GROUP, _WHAT))
        return iter(dict.fromkeys((*self.own, *named)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def package(self, name: str) -> str:
        """Distribution and version of the package that a protocol is of; '' for any other."""
        registered = self._registered(name)
        return "" if registered is None else registered.package

    def thresholds(self, name: str) -> Path | None:
        """The thresholds that a package has beside its protocol; None without any."""
        registered = self._registered(name)
        if registered is None:
            return None
        path = _file(registered).parent / _THRESHOLDS
        return path if path.is_file() else None

    def _registered(self, name: str) -> Registered | None:
        found = packages.found(PROTOCOLS_GROUP, _WHAT)
        packages.require_free([one for one in found if one.name == name], self.own.keys())
        return packages.only(found, name)


def _file(registered: Registered) -> Path:
    """The TOML in a package's folder, of the name that it is registered under."""
    package = registered.load()
    if not hasattr(package, "__path__"):
        raise registered.refusal(
            f"which is of the type {type(package).__name__}; expected a package, a folder with"
            " __init__.py, that holds its file."
        )
    folder = resources.files(package)
    if not isinstance(folder, Path):
        raise registered.refusal("whose package is not a folder on the disk; install it unpacked.")
    path = folder / f"{registered.name}.toml"
    if Path(registered.name).name != registered.name or not path.is_file():
        raise registered.refusal(
            f"and {folder} holds no {quotes.cut(registered.name)}.toml; expected it there, as data"
            " of the package."
        )
    return path
