"""The ways, by kind."""

from benchmarks.exit_codes.way import Way
from benchmarks.exit_codes.ways import (
    collecting,
    configuration,
    deciding,
    ending,
    options,
    packages,
    running,
    selection,
    workers,
)

WAYS: dict[str, tuple[Way, ...]] = {
    "Selections": selection.WAYS,
    "Pytest's other commands and modes": options.WAYS,
    "Configuration": configuration.WAYS,
    "Hooks that change what is collected": collecting.WAYS,
    "Hooks that change how a case runs": running.WAYS,
    "Hooks that change results and the exit status": deciding.WAYS,
    "The process ends, a judge breaks": ending.WAYS,
    "Workers": workers.WAYS,
    "Published plugins": packages.WAYS,
}
