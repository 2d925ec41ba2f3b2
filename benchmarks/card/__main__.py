"""The command that measures the suite on a card.

    python -m benchmarks.card

writes docs/performance-card.json and docs/performance-card.md: about five minutes on an H100, of
which `--part` asks for a part; the others stay as they were measured on the same card before.
"""

import argparse
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.card.page import NAME, SCHEMA, Card, page
from benchmarks.numbers import DOCS, publish, read
from spqr_tests.store import device

PARTS = ("rates", "full", "whole")
_DEVICE = "cuda:0"  # torch wants a number where a process may use a part of a card


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument("--out", type=Path, default=DOCS)
    asked = parser.parse_args()
    if device.resolve("auto") == "cpu":
        parser.error("there is no card here; `python -m benchmarks.speed` times a CPU")
    for part in asked.part or PARTS:
        for values in _measured(part):
            found = _kept(asked.out / f"{NAME}.json").model_copy(update=values)
            publish(found, asked.out, NAME, page)
            print(values, flush=True)  # noqa: T201  a command


def _measured(part: str) -> Iterator[dict[str, Any]]:
    """The page's fields as they become known."""
    if part == "rates":
        from benchmarks.card import speed

        yield {"ceiling": speed.ceiling(_DEVICE)}
        rates: tuple[Any, ...] = ()
        for rate in speed.rates(_DEVICE):
            rates = (*rates, rate)
            yield {"rates": rates}
    elif part == "full":
        from benchmarks.card.full import full

        yield {"full": tuple(full(_DEVICE))}
    else:
        from benchmarks.card.whole import whole

        with tempfile.TemporaryDirectory() as folder:
            yield {"whole": whole(Path(folder))}


def _kept(path: Path) -> Card:
    """What was measured before, on the same card with the same versions; else nothing."""
    empty = Card(
        schema_=SCHEMA,
        suite=f"spqr-tests {metadata.version('spqr-tests')}",
        torch=metadata.version("torch"),
        card=device.name(_DEVICE),
    )
    if not path.is_file():
        return empty
    kept = read(Card, path)
    same = (kept.suite, kept.torch, kept.card) == (empty.suite, empty.torch, empty.card)
    return kept if same else empty


if __name__ == "__main__":
    main()
