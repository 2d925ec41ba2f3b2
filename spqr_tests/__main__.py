"""``python -m spqr_tests COMMAND``: what a pytest run does not do."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from spqr_tests import quotes
from spqr_tests.commands import audit, export, frame, history, leaderboard, report, store
from spqr_tests.errors import EvidenceError, InputError


class _Parser(argparse.ArgumentParser):
    """Its errors hold no character that a terminal obeys."""

    def error(self, message: str) -> NoReturn:
        super().error(quotes.line(message))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    made = _Parser(
        prog="python -m spqr_tests", description="Commands beside `pytest --model path/to/ckpt`."
    )
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for one in (store, leaderboard, history, frame, export, report, audit):
        one.add(commands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 where it found something wrong, or 4 for bad input."""
    known = parser()
    given, options = known.parse_known_args(arguments)
    if options and not getattr(given, "forwards", False):
        known.error(f"unrecognized arguments: {' '.join(options)}")
    given.options = options
    try:
        return int(given.run(given))
    except (InputError, EvidenceError) as error:
        sys.stderr.write(f"{error}\n")
        return 4


if __name__ == "__main__":
    sys.exit(main())
