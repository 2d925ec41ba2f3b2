"""docs/endurance.md, from what the parts found."""

import re
from collections import Counter

from benchmarks.endurance.rows import Endurance
from benchmarks.markdown import table

_STEADY = 0.05


def page(found: Endurance) -> str:
    """The page."""
    kills, damages = found.kills, found.damages
    count = sum(one.kills for one in kills)
    equal = sum(one.kills for one in kills if one.equal)
    done: Counter[str] = Counter()
    for one in damages:
        done.update(one.done)
    entries = sum(done.values())
    lines = [
        "# What a run survives\n\n",
        "Made by `python -m benchmarks.endurance` (each part takes minutes and goes on where it",
        " was); the numbers are in [endurance.json](endurance.json). The run is a small one of",
        " `embedded:uce` with every stage of a real one.\n\n",
        "## Killed\n\n",
        f"{len(kills)} runs were killed (`kill -9`) {count} times at random moments, either all",
        " processes at once or one of two workers, and started again until they were whole.",
        f" After {equal} of the {count} kills the report was that of an undisturbed run, to the",
        f" last digit. Stored results that were made once more: {sum(one.again for one in kills)}.",
        " A worker that dies breaks its run (exit 3); the next run goes on.\n\n",
        table(
            ("killed", "runs", "kills", "equal reports", "made again"),
            [
                (
                    {"group": "all processes", "worker": "one worker"}[target],
                    str(len(rows)),
                    str(sum(one.kills for one in rows)),
                    f"{sum(one.equal for one in rows)} of {len(rows)}",
                    str(sum(one.again for one in rows)),
                )
                for target in ("group", "worker")
                if (rows := [one for one in kills if one.target == target])
            ],
        ),
        "\n## Damaged\n\n",
        f"{entries} entries of every kind were damaged in {len(damages)} copies of a store.",
        f" `python -m spqr_tests store verify` found {sum(one.found for one in damages)} of them,",
        f" and the next run's report was the same in {sum(one.equal for one in damages)} of",
        f" {len(damages)}: what is damaged is moved aside and made again.\n\n",
        table(("damage", "entries"), [(how, str(n)) for how, n in sorted(done.items())]),
        "\n## File systems that fail\n\n",
        "The run on the failing file system, and whether the next one, on a sound one, ends",
        " like an undisturbed run. A code of 0 or 1 is the run's own decision: it measured",
        " everything.\n\n",
        table(
            ("what", "code", "what it says", "next run equal"),
            [
                (
                    one.what,
                    str(one.code),
                    _short(one.said),
                    "yes" if one.equal else "NO",
                )
                for one in found.failures
            ],
        ),
    ]
    for long in found.memory:
        warm = long.mib[1]
        lines += [
            "\n## A long process\n\n",
            f"{long.images} images were generated, judged and embedded in one process. Resident",
            f" memory was {warm} MiB after a tenth of them and {long.mib[-1]} MiB at the end",
            f" ({long.mib[-1] / warm - 1:+.1%}; the most in between {max(long.mib[1:])} MiB). Open",
            f" files more than at the start: {long.handles}; processes left: {long.processes};",
            f" temporary files left: {long.files}.\n",
        ]
    return "".join(lines)


def _short(said: str) -> str:
    """A run's sentence without the names of its tests and of its entries."""
    plain = re.sub(r"^broken: \S+(, \S+)*( \(?and \d+ more tests?\)?)?: |^=+ | =+$", "", said)
    return re.sub(r"(v2/\w+)/\S+", r"\1/...", plain).replace("|", "\\|")


def problems(found: Endurance) -> list[str]:
    """What is not as it has to be, a line each."""
    said = [f"the runs of seed {one.seed} are not equal" for one in found.kills if not one.equal]
    said += [f"seed {one.seed} made {one.again} again" for one in found.kills if one.again]
    said += [
        f"seed {one.seed}: {one.found} of {sum(one.done.values())} found, equal: {one.equal}"
        for one in found.damages
        if one.found < sum(one.done.values()) or not one.equal
    ]
    said += [f"{one.what}: the next run differs" for one in found.failures if not one.equal]
    for long in found.memory:
        if max(long.mib[1:]) > (1 + _STEADY) * long.mib[1] or long.handles > 0:
            said.append("memory or handles grow")
        if long.processes or long.files:
            said.append("processes or files are left")
    return said
