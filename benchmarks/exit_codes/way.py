"""A way to lose a test: what somebody does to a run, and what surrounds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MISSED = {"quality": 0.9999}
"""Thresholds that the checkpoint of the page misses."""
CASES = "{cases}"
"""In arguments: the folder of the packaged cases."""


@dataclass(frozen=True)
class Way:
    """One row of the page."""

    what: str
    arguments: tuple[str, ...] = ()
    plugin: str = ""
    """The source of a plugin, which is loaded with `-p way`."""
    conftest: str = ""
    """The source of a conftest.py in the folder where the run starts."""
    ini: str = ""
    """The lines of the section [pytest] of a pytest.ini there."""
    own: str = ""
    """The source of a test file there, test_own.py."""
    environment: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Those that are not met anyway, by axis."""
    judged: bool = True
    """Whether the store holds the judgements, so that no judge is asked."""
    earlier: tuple[str, ...] | None = None
    """The arguments of a run before it, in the same folder, which misses `MISSED`."""
    package: str = ""
    """A published plugin that it needs."""
    asked: bool = False
    """Whether the command line asks for a part, or for no measurement, in so many words."""
    beyond: bool = False
    """Whether nothing can be done about it in the process: report.json alone tells."""
