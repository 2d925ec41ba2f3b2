"""The controls' leaderboard: all embedded variants, and their headline under other seeds.

    python -m benchmarks.leaderboard

writes docs/leaderboard.json, what was measured, and docs/leaderboard.md, the page of it. The
reports of the published seeds go to docs/leaderboard-reports.jsonl, without what no leaderboard
shows; from them, the tests make the same with `python -m spqr_tests leaderboard`. What the store
holds is not made again, so an interrupted run continues where it stopped. Exit code 1 when a check
in the page does not hold.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from benchmarks import kept_reports, seeds, suite
from benchmarks.board import Board, Series, board, read, series
from benchmarks.controls import KNOWN_BAD, checks
from benchmarks.markdown import table
from benchmarks.numbers import DOCS
from spqr_fixtures.embedded import weights
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.reports.leaderboard.rows import AXES, Row, known
from spqr_tests.reports.report import Report, Score
from spqr_tests.verdict.places import spelt

NAME = "leaderboard"
STORE = platformdirs.user_cache_path("spqr-tests") / "store"
_PROTOCOL = "embedded"
_SEEDS = (1, 2)
_TRAININGS = 3


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        default=weights.names(),
        metavar="NAME",
        help="default: all embedded variants",
    )
    parser.add_argument(
        "--seeds",
        nargs="*",
        type=int,
        default=_SEEDS,
        help="in addition to the published seeds (default: 1 2)",
    )
    parser.add_argument(
        "--trainings",
        type=int,
        default=_TRAININGS,
        help="of the headline's fine-tune; the others have one (default: %(default)s)",
    )
    parser.add_argument(
        "--protocol", default=_PROTOCOL, help="a packaged protocol (default: %(default)s)"
    )
    parser.add_argument(
        "--store", type=Path, default=STORE, help="where evidence is kept (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=DOCS, help="where the files go (default: docs)")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes per run (default: %(default)s)"
    )
    asked = parser.parse_args()
    try:
        found = measured(
            asked.protocol,
            asked.variants,
            asked.seeds,
            asked.store,
            workers=asked.workers,
            trainings=asked.trainings,
        )
    except (InputError, EvidenceError) as error:
        sys.exit(str(error))
    asked.out.mkdir(parents=True, exist_ok=True)
    found.write(asked.out / f"{NAME}.json")
    kept_reports.write(asked.store / NAME, asked.variants, asked.out / kept_reports.NAME)
    # From the file: what was rounded or lost on the way would show.
    (asked.out / f"{NAME}.md").write_text(page(read(asked.out / f"{NAME}.json")), encoding="utf-8")
    sys.exit(
        "\n".join(f"Does not hold: {check.says}." for check in checks(found) if not check.holds)
        or 0
    )


def measured(
    protocol: str,
    variants: Sequence[str],
    others: Sequence[int],
    store: Path,
    *,
    workers: int,
    trainings: int,
) -> Board:
    """Run the suite on the variants under `protocol`, with one training of each fine-tune.

    Then the headline's alone, with so many `trainings`, and the same under other seeds. The files
    of the runs are kept in the store's folder `leaderboard`.
    """
    if unknown := sorted(set(variants) - set(weights.names())):
        raise InputError(
            f"--variants has the unknown {', '.join(unknown)}; known: {', '.join(weights.names())}."
        )
    folder = store / NAME
    first = _each(variants, protocol, store, folder / "published", workers)
    score = _headline(first)
    headline = (f"--spqr-profiles={score.profile}", f"--spqr-scenarios={score.scenario}")

    def trained(seed: int | None) -> dict[str, Report]:
        path = seeds.write_protocol(protocol, seed, trainings, folder)
        target = folder / ("trainings" if seed is None else path.stem)
        return _each(variants, str(path.absolute()), store, target, workers, *headline)

    found = [series(None, first, trained(None)), *(series(seed, trained(seed)) for seed in others)]
    return board(f"{score.profile}-{score.scenario}", found, next(iter(first.values())))


def _headline(reports: Mapping[str, Report]) -> Score:
    """The SPQR of the first report that has one; it names the headline's fine-tune."""
    for report in reports.values():
        if report.score is not None:
            return report.score
    raise EvidenceError("No report has an SPQR.")


def _each(
    variants: Sequence[str], protocol: str, store: Path, folder: Path, workers: int, *options: str
) -> dict[str, Report]:
    reports: dict[str, Report] = {}
    for variant in variants:
        began = time.monotonic()
        report = suite.measure(
            f"embedded:{variant}", protocol, store, folder / variant, *options, workers=workers
        )
        seconds, score = time.monotonic() - began, report.score
        line = f"{folder.name} {variant}: SPQR {score.value if score else 0:.3f}, {seconds:.0f} s"
        print(line, flush=True)  # noqa: T201  a command
        reports[variant] = report
    return reports


def page(found: Board) -> str:
    """The page of docs/: a function of the board alone."""
    published = found.published
    rows = published.ranked(found.headline)
    profile, scenario = found.headline.split("-", 1)
    cells = [cell.name for cell in rows[0].cells]
    head = f"""\
# The controls' leaderboard

Made by `python -m benchmarks.leaderboard` (or `tox -e leaderboard`): do not edit.
[leaderboard.json](leaderboard.json) has the same numbers unrounded. {found.suite} measured every
variant of the embedded world ([how each was made](../fixtures/embedded/README.md)) under the
protocol `{found.protocol}`, hash {published.protocol}, with {published.n["safety"]} harmful and
{published.n["adherence"]} benign prompts and {len(cells)} fine-tunes each.
Intervals are two-sided at 95 %. SPQR is for the fine-tune {profile} x {scenario}, which
was trained {len(rows[0].cell(found.headline).trainings)} times (protocol hash
{published.headline_protocol or published.protocol}); the other fine-tunes were trained once, and
the intervals of R and SPQR take in [how much trainings differ](decisions.md#trainings-are-chance).

## Before fine-tuning, and SPQR

"worst cell" is the fine-tune with the lowest SPQR. "known bad on" is the axis on which a variant is
bad because of the way it was made.

"""
    axes = table(
        ("variant", "S", "P", "Q", "SPQR", "worst cell", "known bad on"),
        (
            (
                f"`{row.model}`",
                str(row.safety),
                str(row.adherence),
                str(row.quality),
                str(row.cell(found.headline).spqr),
                f"{row.worst.name}, {known(row.worst.spqr).value:.3f}",
                KNOWN_BAD.get(row.model, ""),
            )
            for row in rows
        ),
    )
    robustness = table(
        ("variant", *cells),
        ((f"`{row.model}`", *(str(row.cell(name).robustness) for name in cells)) for row in rows),
    )
    harmful = table(
        ("variant", "before", *cells),
        (
            (
                f"`{row.model}`",
                f"{row.cells[0].before:.1f}",
                *(f"{row.cell(name).after:.1f}" for name in cells),
            )
            for row in rows
        ),
    )
    held = table(
        ("", "holds"), ((check.says, "yes" if check.holds else "**NO**") for check in checks(found))
    )
    return f"""\
{head}{axes}
## R by fine-tune

{robustness}
## Harmful images, in percent

Before, and after each fine-tune.

{harmful}
{_trainings(found)}
## What it shows

A variant loses on an axis when it is below each sound variant by more than chance: sound are those
that are aligned and not known to be bad on that axis. The interval of a difference is computed from
the intervals of both, as if they were independent (square-and-add, Zou and Donner 2008).

{held}{_seeds(found)}"""


def _trainings(found: Board) -> str:
    """The part of the page on trainings of the headline that differ in the seed alone."""
    rows = found.published.ranked(found.headline)

    def of(row: Row, one: Series) -> tuple[float, ...]:
        return one.row(row.model).cell(found.headline).trainings

    listed = table(
        ("variant", *(f"seed {one.label}" for one in found.series), "SD between, points"),
        (
            (
                f"`{row.model}`",
                *(", ".join(f"{one:.1f}" for one in of(row, each)) for each in found.series),
                _between([of(row, each) for each in found.series]),
            )
            for row in rows
        ),
    )
    return f"""\
## Trainings of {found.headline}

Harmful images, in percent, after each training. Those of one seed differ in the fine-tune's own
seed alone and have the same prompts and latents. SD is the standard deviation between trainings,
pooled over the seeds; it holds the chance of the prompts too, which makes it a little too large.

{listed}"""


def _between(groups: Sequence[Sequence[float]]) -> str:
    """The standard deviation within groups, pooled; empty where each has one."""
    freedom = sum(len(one) - 1 for one in groups)
    if freedom < 1:
        return ""
    squares = sum(sum((value - sum(one) / len(one)) ** 2 for value in one) for one in groups)
    return f"{(squares / freedom) ** 0.5:.1f}"


def _seeds(found: Board) -> str:
    """The part of the page on other seeds; empty for a board of one series."""
    if len(found.series) == 1:
        return ""
    order = [row.model for row in found.published.ranked(found.headline)]
    ranks = [seeds.ranks(one, found.headline) for one in found.series]
    scores = table(
        ("variant", *(f"seed {one.label}" for one in found.series)),
        (
            (
                f"`{variant}`",
                *(
                    f"{one.row(variant).axis('SPQR', found.headline)}, {_places(rank[variant])}"
                    for one, rank in zip(found.series, ranks, strict=True)
                ),
            )
            for variant in order
        ),
    )
    changes = seeds.changes(found)
    by_axis: Mapping[str, list[seeds.Change]] = {
        axis: [one for one in changes if one.axis == axis] for axis in AXES
    }
    differences = table(
        ("axis", "differences", "inside", "share", "mean size", "largest"),
        (
            (
                axis,
                str(len(some)),
                str(sum(one.inside for one in some)),
                f"{100 * seeds.share_inside(some):.0f} %",
                f"{sum(abs(one.estimate.value) for one in some) / len(some):.3f}",
                _largest(some),
            )
            for axis, some in by_axis.items()
        ),
    )
    outside = "".join(
        f"- `{one.variant}`, {one.axis}, seed {one.seeds[1]} minus {one.seeds[0]}: {one.estimate}\n"
        for one in changes
        if not one.inside
    )
    text = f"""
## Other seeds

The same prompts, with other seeds for all images and for fine-tuning. SPQR, and the places that a
variant may have: two that are not told apart by more than chance are not ranked.

{scores}
A difference between two seeds is "inside" when its own interval contains 0.
Of all {len(changes)} differences, {100 * seeds.share_inside(changes):.0f} % are inside.

{differences}"""
    return f"{text}\nNot inside:\n\n{outside}" if outside else text


def _places(rank: tuple[int, int]) -> str:
    return f"{'place' if rank[0] == rank[1] else 'places'} {spelt(rank)}"


def _largest(some: Sequence[seeds.Change]) -> str:
    largest = max(some, key=lambda one: abs(one.estimate.value))
    return f"{largest.estimate.value:+.3f} (`{largest.variant}`)"


if __name__ == "__main__":
    main()
