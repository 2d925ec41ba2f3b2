"""How much trainings that differ in the seed alone differ in what they bring back.

    python -m benchmarks.trainings

trains each aligned variant of the embedded world several times by one fine-tune and writes
docs/trainings.json, what was measured, and docs/trainings.md, the page of it. What the store holds
is not made again. Exit code 1 when a check in the page does not hold.
"""

import argparse
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs
from pydantic import Field
from pydantic.dataclasses import dataclass

from benchmarks import numbers, suite
from benchmarks.markdown import table
from benchmarks.numbers import STRICT, Numbers
from spqr_fixtures.embedded import weights
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.settings import protocol_file
from spqr_tests.verdict import trainings

NAME = "trainings"
SCHEMA: Literal["spqr-trainings/1"] = "spqr-trainings/1"
PROFILE, SCENARIO = "standard", "general"
_STORE = platformdirs.user_cache_path("spqr-tests") / "store"


@dataclass(frozen=True, config=STRICT)
class Trained:
    """One variant: the harmful images before, and after each training, in percent."""

    variant: str
    before: float
    after: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """The standard deviation between trainings, in points."""
        return float(np.std(self.after, ddof=1))

    @property
    def icc(self) -> float:
        """The intraclass correlation that it implies; prompts' chance is part of it."""
        shares = [one / 100 for one in self.after]
        return 4 * float(np.var(trainings.angles(shares), ddof=1))


class Trainings(Numbers):
    """All rows of the page."""

    schema_: Literal["spqr-trainings/1"] = Field(alias="schema")
    n: int
    """Harmful images of each training."""
    stated: float
    """The intraclass correlation that the protocol `embedded` states."""
    rows: tuple[Trained, ...] = Field(min_length=1)

    @property
    def mean(self) -> float:
        """The mean intraclass correlation, each variant with equal weight."""
        return float(np.mean([one.icc for one in self.rows]))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--store", type=Path, default=_STORE, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=numbers.DOCS, help="default: docs")
    asked = parser.parse_args()
    try:
        found = measured(asked.replicates, asked.store)
    except (InputError, EvidenceError) as error:
        sys.exit(str(error))
    kept = numbers.publish(found, asked.out, NAME, page)
    sys.exit("\n".join(f"Does not hold: {says}." for says, holds in checks(kept) if not holds) or 0)


def measured(replicates: int, store: Path) -> Trainings:
    """Train every aligned variant so often; the reports are kept in the store's folder of ours."""
    folder = store.absolute() / NAME
    folder.mkdir(parents=True, exist_ok=True)
    protocol = folder / "protocol.toml"
    protocol.write_text(
        f'extends = "embedded"\n\n[finetuning]\nreplicates = {replicates}\n', encoding="utf-8"
    )
    rows, n = [], 0
    for variant in weights.names():
        if variant == "base":
            continue
        report = suite.measure(
            f"embedded:{variant}",
            str(protocol),
            store,
            folder / variant,
            f"--spqr-profiles={PROFILE}",
            f"--spqr-scenarios={SCENARIO}",
        )
        [cell] = report.robustness
        after = tuple(one.harmfulness_after for one in cell.trainings)
        rows.append(Trained(variant, cell.harmfulness_before, after))
        n = cell.n
        print(f"{variant}: {rows[-1].after}", flush=True)  # noqa: T201  a command
    stated = protocol_file.read(PACKAGED.protocols["embedded"], PACKAGED.protocols)
    return Trainings(schema_=SCHEMA, n=n, stated=stated.finetuning.training_icc, rows=tuple(rows))


def checks(found: Trainings) -> list[tuple[str, bool]]:
    """What the page claims, and whether it holds."""
    return [
        (
            (
                f"the mean intraclass correlation, {found.mean:.3f}, is at most the"
                f" {found.stated:g} that `embedded` states"
            ),
            found.mean <= found.stated,
        )
    ]


def page(found: Trainings) -> str:
    """The page of docs/: a function of the numbers alone."""
    held = table(
        ("", "holds"), ((says, "yes" if holds else "**NO**") for says, holds in checks(found))
    )
    rows = table(
        ("variant", "before", "after each training", "SD, points", "ICC"),
        (
            (
                f"`{one.variant}`",
                f"{one.before:.1f}",
                ", ".join(f"{after:.1f}" for after in one.after),
                f"{one.deviation:.1f}",
                f"{one.icc:.3f}",
            )
            for one in found.rows
        ),
    )
    count = len(found.rows[0].after)
    return f"""\
# Trainings that differ in the seed alone

Made by `python -m benchmarks.trainings` (or `tox -e trainings`): do not edit.
[trainings.json](trainings.json) has the same numbers. Each aligned variant of the embedded world
was fine-tuned {count} times ({PROFILE} x {SCENARIO}), and its images of the same prompts, seeds and
latents were judged each time: n = {found.n}. Numbers before and after are harmful images in
percent; SD is that between trainings; ICC is the intraclass correlation, four times the variance of
arcsin(sqrt(p)). The chance of {found.n} prompts is part of both, which makes them a little too
large. [How a case is decided](decisions.md#trainings-are-chance) says what they are for.

{held}
{rows}"""


if __name__ == "__main__":
    main()
