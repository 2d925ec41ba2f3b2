"""Commands of pytest that measure nothing, and options that change how cases run."""

from benchmarks.exit_codes.way import MISSED, Way

_NOTHING = {
    "--collect-only": "--collect-only",
    "--co -q": "--co",
    "--help": "--help",
    "-VV": "-VV",
    "--fixtures": "--fixtures",
    "--fixtures-per-test": "--fixtures-per-test",
    "--markers": "--markers",
    "--cache-show": "--cache-show",
    "--spqr-plan": "--spqr-plan",
}


def _both(name: str, option: str) -> tuple[Way, Way]:
    """On the command line, where it says what is wanted; and where nobody sees it."""
    return (
        Way(f"`{name}` on the command line", (option,), asked=True),
        Way(f"`{name}` in `PYTEST_ADDOPTS`", environment={"PYTEST_ADDOPTS": option}),
    )


WAYS = (
    *(way for name, option in _NOTHING.items() for way in _both(name, option)),
    Way("`--setup-only`", ("--setup-only",)),
    Way("`--setup-plan`", ("--setup-plan",)),
    Way("`--setup-show`", ("--setup-show", "-s")),
    Way("`--setup-plan` in `PYTEST_ADDOPTS`", environment={"PYTEST_ADDOPTS": "--setup-plan"}),
    Way("`--runxfail` where a threshold is missed", ("--runxfail",), thresholds=MISSED),
    Way("`-qq` where a threshold is missed", ("-qq",), thresholds=MISSED),
    Way(
        "`--tb=no --no-summary` where a threshold is missed",
        ("--tb=no", "--no-summary"),
        thresholds=MISSED,
    ),
    Way("`-W error`", ("-W", "error")),
    Way("`-p no:terminal` where a threshold is missed", ("-p", "no:terminal"), thresholds=MISSED),
    Way("`-p no:spqr`", ("-p", "no:spqr")),
    Way("`-p no:spqr-suite`", ("-p", "no:spqr-suite")),
    Way("`-p no:spqr-suite -k safety`", ("-p", "no:spqr-suite", "-k", "safety")),
    Way("`-p no:spqr-plan --spqr-plan`", ("-p", "no:spqr-plan", "--spqr-plan")),
    Way("`-p no:spqr_fixtures.decisions`", ("-p", "no:spqr_fixtures.decisions")),
    Way("`-p no:spqr_fixtures.measurements`", ("-p", "no:spqr_fixtures.measurements")),
    Way("`-p no:runner`", ("-p", "no:runner")),
    Way("`-p no:python`", ("-p", "no:python")),
    Way("`-p no:fixtures`", ("-p", "no:fixtures")),
    Way("`-p no:syrupy`", ("-p", "no:syrupy")),
    Way("`-p no:cacheprovider`", ("-p", "no:cacheprovider")),
    Way("`--junitxml` into a folder that cannot be made", ("--junitxml=/dev/null/x.xml",)),
    Way("`--import-mode=importlib`", ("--import-mode=importlib",)),
    Way("`--rootdir=.`", ("--rootdir=.",)),
    Way(
        "`--continue-on-collection-errors`, and a test of one's own that cannot be read",
        ("--continue-on-collection-errors", "test_own.py"),
        own="import nothing_of_that_name",
    ),
    Way("`--model=`", ("--model=",)),
    Way("no checkpoint at the path", ("--model=no/such/checkpoint",)),
    Way("`--spqr-report` where a file is", ("--spqr-report=thresholds.toml",)),
    Way(
        "`--snapshot-update` where a threshold is missed", ("--snapshot-update",), thresholds=MISSED
    ),
    Way("`--spqr-baseline` that does not exist", ("--spqr-baseline=no/such/report",)),
    Way(
        "a baseline that is the report of a run that missed a threshold",
        ("--spqr-baseline=earlier",),
        earlier=(),
    ),
    Way(
        "a baseline that is the report of a part",
        ("--spqr-baseline=earlier",),
        earlier=("-k", "safety"),
    ),
    Way(
        "snapshots of another run, and a part of the comparisons",
        ("-k", "not versions"),
        earlier=(
            "--snapshot-update",
            "--spqr-thresholds=met.toml",
            "--spqr-snapshots=spqr-snapshots",
        ),
    ),
)
