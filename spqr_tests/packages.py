"""What installed packages register by entry points: found by metadata, loaded when it is needed.

The groups are `spqr_tests.judges`, `.backbones`, `.prompt_layouts` and `.protocols`. Nothing here
guesses: what cannot be loaded, is of the wrong kind, or claims what is taken is an `InputError`
that names the package.
"""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from spqr_tests import quotes
from spqr_tests.errors import EvidenceError, InputError


@dataclass(frozen=True)
class Registered:
    """What one package registers under a name."""

    point: metadata.EntryPoint
    what: str
    """The kind of thing, as in 'the backbone of the pipeline'."""

    @property
    def name(self) -> str:
        """The name that it is registered under."""
        return self.point.name

    @property
    def package(self) -> str:
        """Distribution and version."""
        return distribution(self.point)

    @property
    def said(self) -> str:
        """The beginning of a sentence about it."""
        return f"{self.package} registers {self.what} {quotes.cut(self.name)} as {self.point.value}"

    def load(self) -> Any:
        """The object behind the entry point; `InputError` when its import fails."""
        try:
            return self.point.load()
        except (Exception, SystemExit) as error:  # an import runs anything
            raise InputError(
                f"{self.said}, which cannot be loaded: {_reason(error)}. Mend or uninstall the"
                " package."
            ) from error

    def refusal(self, why: str) -> InputError:
        """The error that says why it cannot be used."""
        return InputError(f"{self.said}, {why}")


def found(group: str, what: str) -> tuple[Registered, ...]:
    """What all installed packages register in a group, by name; nothing is imported."""
    return tuple(Registered(point, what) for point in _points(group, tuple(sys.path)))


def require_free(registered: Collection[Registered], taken: Collection[str]) -> None:
    """`InputError` when one is registered under a name that the suite has itself."""
    for one in registered:
        if one.name in taken:
            raise one.refusal("and the suite has that itself; uninstall the package.")


def only(registered: Collection[Registered], name: str) -> Registered | None:
    """The one with this name, None without one; `InputError` when two packages have it."""
    named = [one for one in registered if one.name == name]
    if len(named) > 1:
        first, second = named[:2]
        raise InputError(
            f"{first.what[:1].upper()}{first.what[1:]} {quotes.cut(name)} is registered by both"
            f" {first.package} and {second.package}; uninstall one."
        )
    return named[0] if named else None


def distribution(point: metadata.EntryPoint) -> str:
    """The distribution that an entry point is of, with its version."""
    if point.dist is None:
        return "an unnamed package"
    return f"{point.dist.name} {point.dist.version}"


@contextmanager
def blamed(package: str, doing: str) -> Iterator[None]:
    """Name the package whose code broke here, as `InputError`; '' for the suite's own code."""
    try:
        yield
    except (InputError, EvidenceError):
        raise
    except Exception as error:
        if not package:
            raise
        raise InputError(f"{package} broke while {doing}: {_reason(error)}.") from error


@lru_cache(maxsize=64)
def _points(group: str, path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """The entry points of a group on this path, which is read once: a prompt set asks often."""
    del path
    points = {(point.name, point.value, distribution(point)): point for point in _all(group)}
    return tuple(points[key] for key in sorted(points))


def _all(group: str) -> metadata.EntryPoints:
    return metadata.entry_points(group=group)


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{quotes.cut(lines[0].rstrip('.'), 300)} ({kind})" if lines else kind
