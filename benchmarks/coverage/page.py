"""The page on coverage, and the checks that it contains."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.coverage.cells import DRAWS, FEW, SEED, Cell, Coverage, Reading
from benchmarks.coverage.distances import NEAR, TRUE_FID, WIDE_WIDTH
from benchmarks.coverage.flags import LATTICE, LITTLE
from benchmarks.coverage.scores import ACCURACY, REFERENCE, WIDE, WIDTH
from benchmarks.coverage.trainings import STATED
from benchmarks.markdown import table

LEAST, MOST, FALSE_PASS = 0.94, 0.965, 0.03


@dataclass(frozen=True)
class Section:
    """One table of the page."""

    title: str
    about: str
    mark: str = ""
    """The criterion of `*`."""


SECTIONS = {
    "safety": Section(
        "Safety",
        "Clopper-Pearson's interval of a rate. Every outcome is counted. The method is exact: it\n"
        "never covers less than 95 %, and covers more where rates are low. Rows are rates.",
    ),
    "prompts": Section(
        "A rate of images that share prompts",
        "n prompts with several images each. Rows are the images per prompt, the correlation of\n"
        "the flags of two images of one prompt (beta-binomial), and the rate. Simulated.",
        f"fewer than {FEW} prompts expected with a flag, or with a missing flag",
    ),
    "drift": Section(
        "Drift, and so robustness",
        "Pairs with one image each. Rows are the rates before and after, and the correlation of\n"
        "the two flags, where the rates allow it. All outcomes are counted, or a lattice of at\n"
        f"most {LATTICE} counts of each change.",
        f"the number of pairs gained less those lost has a variance below {LITTLE}, so that one\n"
        "pair more or less moves the coverage by over 1.5 points",
    ),
    "drift of prompts": Section(
        "Drift of images that share prompts",
        "n prompts with several images each. Rows are the images per prompt, the correlation of\n"
        "what happens to two images of one prompt (Dirichlet-multinomial), the rates before and\n"
        "after, and the correlation of the two flags of a pair. Simulated.",
        f"fewer than {FEW} prompts expected whose flags change on balance, or do not",
    ),
    "adherence": Section(
        "Adherence",
        "The mean CLIP score of n prompts. Simulated.",
        f"fewer than {FEW} scores expected in the smaller mode. A run may then contain none of\n"
        "them, and its interval covers less",
    ),
    "quality": Section(
        "Quality",
        f"FID of {WIDTH} features against {REFERENCE:,} pictures. The truth is the mean FID of n\n"
        "images over ten times as many runs. Larger n are slow and not simulated: the mark's\n"
        "criterion says what to expect of them.",
        f"n below {WIDE} times the number of features. The jackknife's variance then counts twice\n"
        "what is quadratic in the features (Efron and Stein 1981)",
    ),
    "distances": Section(
        "Quality by KID and CMMD",
        f"{WIDTH} features against {REFERENCE:,} pictures, for CMMD of length 1. The truth is the\n"
        "mean over the runs, since neither depends on n.",
        f"fewer than {FEW} images expected of the smallest group that the distance hangs on, or a\n"
        f"distance below {NEAR} of its standard errors: the jackknife's variance then counts\n"
        "twice what is quadratic in the images (Efron and Stein 1981)",
    ),
    "collapsed": Section(
        "Quality where 1 % of the images collapsed",
        "1 % of the images are one picture, far from the reference. At n = 100 a third of the\n"
        "runs have none of them, and no interval knows of what its images do not show. The share\n"
        "of distinct images, which is shown beside Q, is below 1 as soon as two are there.",
        f"fewer than {FEW} collapsed images expected",
    ),
    "spqr": Section(
        "SPQR",
        "From joint draws, as in a run: P from n scores, FID with a standard error of 1.5 between\n"
        "the anchors 0 and 100. Rows are as for drift.",
        f"fewer than {FEW} pairs expected to change",
    ),
    "drift of trainings": Section(
        "Drift over all trainings, from a few",
        "The truth is the mean over trainings, whose drifts are normal with the SD of the row, in\n"
        f"points. The protocol states an intraclass correlation of {STATED.icc:g}, known from"
        f" {STATED.freedom + 1:g}\ntrainings: where trainings differ by less, the interval covers"
        " more. Rows are the rates before\nand after, the SD, and the number of trainings.",
    ),
    "spqr of lowered harm": Section(
        "SPQR where fine-tuning lowers harm",
        "R is 1 by definition. S from n pairs; P and Q are known, so that nothing else widens the\n"
        "interval. Rows are the drift and the rate before.",
        f"fewer than {FEW} flags expected",
    ),
    "unequal prompts": Section(
        "A rate of prompts with different numbers of images",
        "Each number is as likely. The correlation of two flags of a prompt is .5. Rows are the\n"
        "numbers of images and the rate.",
        f"fewer than {FEW} prompts expected with a flag",
    ),
    "corrected": Section(
        "Harmfulness corrected for the judges' errors",
        f"Sensitivity {ACCURACY[0]:g} from {ACCURACY[1]} pictures and specificity"
        f" {ACCURACY[2]:g} from {ACCURACY[3]},\nboth measured anew in each run. Rows are the true"
        " rates.",
        f"fewer than {FEW} harmful or harmless images expected, or a rate below two standard\n"
        "errors, where the bound 0 cuts the interval off",
    ),
}


@dataclass(frozen=True)
class Check:
    """A claim of the page."""

    says: str
    holds: bool


def checks(cells: Sequence[Cell]) -> list[Check]:
    """The claims about the cells, each with the extreme that decides it."""
    decided = [cell for cell in cells if not cell.refused]
    plain = [cell for cell in decided if not cell.few]
    marked = [cell for cell in decided if cell.few]
    inexact = [cell for cell in plain if not cell.exact]
    gated = [cell for cell in decided if cell.false_pass is not None]
    counted = [cell for cell in gated if not cell.runs]
    return [
        Check(
            f"coverage of at least {LEAST:.0%} in every cell without `*` or `r` (least:"
            f" {min(cell.coverage for cell in plain):.1%})",
            all(cell.coverage >= LEAST for cell in plain),
        ),
        Check(
            f"coverage of at least {LEAST:.0%} in every cell with `*` and without `r`"
            f" (least: {min((cell.coverage for cell in marked), default=1.0):.1%})",
            all(cell.coverage >= LEAST for cell in marked),
        ),
        Check(
            f"coverage of at most {MOST:.1%} in every cell without a mark, within three"
            " standard errors of the simulation (greatest:"
            f" {max((cell.coverage for cell in inexact), default=0.0):.1%})",
            all(cell.coverage <= MOST + cell.slack for cell in inexact),
        ),
        Check(
            f"at most {FALSE_PASS:.0%} of runs pass a truth exactly on the threshold, in every"
            " cell without `r`, within three standard errors of the simulation (most:"
            f" {_passed(gated):.1%}; where all outcomes are counted: {_passed(counted):.1%})",
            all((cell.false_pass or 0.0) <= FALSE_PASS + cell.pass_slack for cell in gated),
        ),
    ]


def _passed(cells: Sequence[Cell]) -> float:
    return max((cell.false_pass or 0.0 for cell in cells), default=0.0)


def page(found: Coverage) -> str:
    """The page of docs/: a function of the numbers alone."""
    head = f"""\
# What the intervals cover

Made by `python -m benchmarks.coverage` (or `tox -e coverage`), which needs about
{found.seconds / 60:.0f} minutes on one core: do not edit. [coverage.json](coverage.json) has the
same numbers with more digits.

The tables show the share of runs, in percent, whose two-sided 95 % interval contains the truth, by
n. The number of simulated runs is given above each table; the seed is {SEED}.
{_errors(found.cells)}

Laws of draws of flags are integrated (`benchmarks/laws.py`), as if a run drew infinitely often.
Other intervals use {DRAWS:,} draws and the code of a run.

- `e`: the method is meant to cover more than it says: it is exact, or takes in what is stated of
  trainings.
- `*`: too little is expected in this world for an interval to cover what it says. The criterion is
  given above each table.
- `r`: a protocol with `release = true` and this n is refused (`spqr_tests/run/floors.py`).
- "false pass": the share of runs that pass when the truth is exactly on the threshold, the largest
  over all n that are not refused.

## What it shows

{table(("", "holds"), _held(found.cells))}
{_low(found.cells)}"""
    there = {cell.section for cell in found.cells}
    sections = [_section(key, found.cells) for key in SECTIONS if key in there]
    return "\n".join([head, *sections, *([_read(found.readings)] if found.readings else [])])


def _errors(cells: Sequence[Cell]) -> str:
    """How precise a simulated coverage is."""
    slack = {cell.runs: cell.slack / 3 for cell in cells if cell.runs}
    if not slack:
        return "Nothing is simulated here."
    said = (f"{100 * slack[runs]:.1f} points with {runs:,} runs" for runs in sorted(slack))
    return f"A simulated coverage of 95 % has a standard error of {' and '.join(said)}."


def _held(cells: Sequence[Cell]) -> Iterator[tuple[str, str]]:
    yield from ((check.says, "yes" if check.holds else "**NO**") for check in checks(cells))


def _low(cells: Sequence[Cell]) -> str:
    """Where coverage is below `LEAST`."""
    low = sorted((cell for cell in cells if cell.coverage < LEAST), key=lambda cell: cell.coverage)
    if not low:
        return f"Coverage is at least {LEAST:.0%} everywhere.\n"
    rows = table(
        ("section", "row", "n", "coverage", "runs"),
        (
            (SECTIONS[cell.section].title, cell.row, f"{cell.n:,}", cell.text, f"{cell.runs:,}")
            for cell in low
        ),
    )
    return f"Coverage is below {LEAST:.0%} here and nowhere else:\n\n{rows}"


def _section(key: str, cells: Sequence[Cell]) -> str:
    """One table with its heading."""
    section, own = SECTIONS[key], [cell for cell in cells if cell.section == key]
    sizes = sorted({cell.n for cell in own})
    rows: dict[str, dict[int, Cell]] = {}
    for cell in own:
        rows.setdefault(cell.row, {})[cell.n] = cell
    gated = own[0].false_pass is not None
    body = (
        (
            row,
            *(by_n[n].text if n in by_n else "" for n in sizes),
            *([_most(by_n.values())] if gated else []),
        )
        for row, by_n in rows.items()
    )
    times = sorted({cell.runs for cell in own if cell.runs}, reverse=True)
    runs = f"\n{' or '.join(f'{one:,}' for one in times)} runs per cell." if times else ""
    mark = f"\n`*`: {section.mark}." if section.mark else ""
    header = ("", *(f"n = {n:,}" for n in sizes), *(["false pass"] if gated else []))
    return f"## {section.title}\n\n{section.about}{runs}{mark}\n\n{table(header, body)}"


def _read(readings: Sequence[Reading]) -> str:
    """What the distances read, in a table."""
    sizes = sorted({one.n for one in readings})
    rows: dict[tuple[str, str], dict[int, Reading]] = {}
    for one in readings:
        rows.setdefault((one.world, one.distance), {})[one.n] = one
    body = (
        (world, distance.upper(), *(f"{by_n[n].mean:.3g} ± {by_n[n].deviation:.2g}" for n in sizes))
        for (world, distance), by_n in rows.items()
    )
    return (
        f"## What the distances read\n\n{WIDE_WIDTH} features against {REFERENCE:,} pictures; the"
        " mean and the deviation over sets of images.\n"
        f"'Less diverse' and 'more diverse' both have a true FID of {TRUE_FID}. With fewer images"
        " than features,\nFID reads the first below real pictures and the second far above them: it"
        " compares\ndiversity. KID and CMMD have one expectation at every n, and hardly see a"
        " change of\ndiversity alone.\n\n"
        + table(("images", "distance", *(f"n = {n:,}" for n in sizes)), body)
    )


def _most(cells: Iterable[Cell]) -> str:
    """The largest false pass, in percent."""
    kept = [cell.false_pass or 0.0 for cell in cells if not cell.refused]
    return f"{100 * max(kept):.1f}" if kept else ""
