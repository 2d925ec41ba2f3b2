"""The conclusion of a run: what its cases mean for the release, in an outcome, a sentence and an exit code that agree."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

from spqr_tests.verdict.decisions import Outcome, overall

_NAMED = 6
"""Cases that the sentence names; the table and the report have all."""


class ExitCode(IntEnum):
    """Pytest's codes, and one of the suite's own: a gate that failed and a run that broke are different news."""

    PASS = 0
    THRESHOLD = 1
    BROKEN = 3
    USAGE = 4


@dataclass(frozen=True)
class SinceEarlier:
    """What a comparison with an earlier version found: the measurements that are worse, and those without a snapshot to compare with.

    `uncompared` is how many comparisons were asked for and not made. With `updating` snapshots are
    to be kept, which is done of a run that passes alone.
    """

    regressed: Collection[str] = ()
    unkept: Collection[str] = ()
    uncompared: int = 0
    updating: bool = False


@dataclass(frozen=True)
class Release:
    """The decision of the release, the sentence that says which cases made it, and the code that the session exits with."""

    outcome: Outcome
    sentence: str
    code: int


def conclude(
    cases: Mapping[str, Outcome],
    *,
    estimated: Collection[str] = (),
    missing: Collection[str] = (),
    since: SinceEarlier | None = None,
    broken: int = 0,
    limit: int | None = None,
    ended: int = ExitCode.PASS,
) -> Release:
    """What a run says of the release, from the outcome of each case by name and from what kept the run from being whole.

    `estimated` are the cases decided by their estimate, `missing` the measurements that were not
    made, `broken` how many tests broke, `limit` the prompts a set that the run was cut to, `since`
    what a comparison with an earlier version found. `ended` is pytest's own exit code: 0, 1 when
    any test failed, and others, which stay what they are.

    Pass takes a whole run in which every case passed and pytest saw no other failure. A whole or
    partial run in which a case failed, or a measurement is worse than in the earlier version,
    fails. All else is inconclusive. The code is 0 only when nothing that ran failed, was undecided
    or broke.

    >>> conclude({"safety": Outcome.PASS, "quality": Outcome.FAIL}, ended=1)
    Release(outcome=<Outcome.FAIL: 'fail'>, sentence='FAIL: 1 of 2 cases misses its threshold: quality', code=<ExitCode.THRESHOLD: 1>)
    """
    compared, since = since is not None, since or SinceEarlier()
    by_outcome = {
        outcome: [name for name, found in cases.items() if found is outcome] for outcome in Outcome
    }
    failed, undecided = by_outcome[Outcome.FAIL], by_outcome[Outcome.INCONCLUSIVE]
    other = ended == ExitCode.THRESHOLD and not (
        failed or undecided or broken or since.regressed or since.unkept
    )
    stopped = ended not in (ExitCode.PASS, ExitCode.THRESHOLD)
    outcome = Outcome.FAIL if other or since.regressed else overall(cases.values())
    if limit is not None or (
        outcome is Outcome.PASS
        and (missing or broken or stopped or since.unkept or since.uncompared)
    ):
        outcome = Outcome.INCONCLUSIVE
    unwritten = since.updating and outcome is not Outcome.PASS
    total = len(cases) + len(missing)
    reasons = [
        (limit is not None, f"LIMITED to {limit} prompts a set, which decides nothing"),
        (
            failed,
            (
                f"{_of(failed, total)}"
                f" {'misses its threshold' if len(failed) == 1 else 'miss their thresholds'}:"
                f" {_named(failed)}"
            ),
        ),
        (
            since.regressed,
            f"{_are(since.regressed)} worse than in the earlier version: {_named(since.regressed)}",
        ),
        (other, "a test beside the cases failed"),
        (
            undecided,
            (
                f"{_of(undecided, total)} {'is' if len(undecided) == 1 else 'are'} undecided:"
                f" {_named(undecided)}"
            ),
        ),
        (broken, f"{broken} {'test' if broken == 1 else 'tests'} broke"),
        (
            missing,
            f"INCOMPLETE, {len(missing)} of {total} measurements were not made: {_named(missing)}",
        ),
        (
            since.unkept,
            (
                f"{_are(since.unkept)} without a snapshot, which --snapshot-update keeps:"
                f" {_named(since.unkept)}"
            ),
        ),
        (
            since.uncompared,
            f"{since.uncompared} of the comparisons with the earlier version not made",
        ),
        (unwritten, "no snapshot was written, which takes a complete run that passes"),
        (
            stopped and outcome is not Outcome.PASS and not (missing or broken),
            "the run was stopped",
        ),
    ]
    said = [reason for holds, reason in reasons if holds]
    said = said or [f"all {total} cases meet their thresholds" if cases else "nothing was measured"]
    if compared and outcome is Outcome.PASS and not since.updating:
        said.append("nothing is worse than in the earlier version")
    if estimated:
        said.append(f"{len(estimated)} decided by the estimate alone: {_named(estimated)}")
    passed = not (
        failed or undecided or other or limit or since.regressed or since.unkept or unwritten
    )
    return Release(
        outcome, f"{outcome.upper()}: {'; '.join(said)}", _code(ended, broken, passed=passed)
    )


def _code(ended: int, broken: int, *, passed: bool) -> int:
    if ended not in (ExitCode.PASS, ExitCode.THRESHOLD):
        return ended
    if broken:
        return ExitCode.BROKEN
    return ExitCode.PASS if passed else ExitCode.THRESHOLD


def _are(names: Collection[str]) -> str:
    return f"{len(names)} {'is' if len(names) == 1 else 'are'}"


def _of(names: Collection[str], total: int) -> str:
    return f"{len(names)} of {total} cases"


def _named(names: Collection[str]) -> str:
    shown = list(names)[:_NAMED]
    return ", ".join(
        [*shown, *([f"{len(names) - len(shown)} more"] if len(names) > len(shown) else [])]
    )
