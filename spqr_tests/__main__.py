"""``python -m spqr_tests COMMAND``: what a pytest run does not do."""

import argparse
import sys
from collections.abc import Sequence

from spqr_tests.commands import export, frame, history, leaderboard, report, store
from spqr_tests.errors import EvidenceError, InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 where it found something wrong, or 4 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m spqr_tests", description="Commands beside `pytest --model path/to/ckpt`."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    store.add(commands)
    leaderboard.add(commands)
    history.add(commands)
    frame.add(commands)
    export.add(commands)
    report.add(commands)
    given, options = parser.parse_known_args(arguments)
    if options and not getattr(given, "forwards", False):
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    given.options = options
    try:
        return int(given.run(given))
    except (InputError, EvidenceError) as error:
        sys.stderr.write(f"{error}\n")
        return 4


if __name__ == "__main__":
    sys.exit(main())
