"""Selections: a part of the cases, or none."""

from benchmarks.exit_codes.way import CASES, MISSED, Way

_ONE = "test_score.py::test_the_four_axes_hold_together[lite-general]"
_OWN = "def test_mine(): pass"


def _part(what: str, *arguments: str) -> Way:
    return Way(what, arguments)


WAYS = (
    _part("`-k safety`", "-k", "safety"),
    _part("`-k nothing`", "-k", "nothing_has_this_name"),
    _part("`-m adherence`", "-m", "adherence"),
    _part("`-m nothing`", "-m", "nothing"),
    _part("`--deselect` of one case", "--deselect", _ONE),
    _part("`--deselect` of a file", "--deselect", "test_quality.py"),
    _part(
        "`--deselect` of all files",
        *(
            f"--deselect=test_{axis}.py"
            for axis in ("safety", "adherence", "quality", "robustness", "score")
        ),
    ),
    _part("`--ignore` of a file of cases", f"--ignore={CASES}/test_score.py"),
    _part("`--ignore` of the folder of cases", f"--ignore={CASES}"),
    _part("`--ignore-glob`", "--ignore-glob=*test_s*.py"),
    _part("`--ignore-glob` of everything", "--ignore-glob=*"),
    _part("the path of a file of cases", f"{CASES}/test_safety.py"),
    _part(
        "the node id of a case",
        f"{CASES}/test_quality.py::test_generations_look_like_the_reference_set",
    ),
    _part("a node id that does not exist", f"{CASES}/test_quality.py::test_nothing"),
    _part("the path of the folder of cases (all of them)", CASES),
    _part("`--pyargs` with one module of cases", "--pyargs", "spqr_tests.test_adherence"),
    _part("a path that does not exist", "no/such/path"),
    Way("a test file of one's own, alone", ("test_own.py",), own=_OWN),
    Way("`--lf` after a run that missed a threshold", ("--lf",), earlier=()),
    Way(
        "`--lf --lfnf=none` after a run that passed in part",
        ("--lf", "--lfnf=none"),
        earlier=("-k", "adherence"),
    ),
    Way("`--ff` after a run that missed a threshold", ("--ff",), earlier=()),
    Way("`--sw` after a run that missed a threshold", ("--sw",), earlier=("--sw",)),
    Way("`--sw-skip` where a threshold is missed", ("--sw-skip",), thresholds=MISSED),
    Way("`-x` where a threshold is missed", ("-x",), thresholds=MISSED),
    Way("`--maxfail=1` where a threshold is missed", ("--maxfail=1",), thresholds=MISSED),
    Way("`-x` where every threshold is met", ("-x",)),
    Way("`-k safety --spqr-partial`", ("-k", "safety", "--spqr-partial"), asked=True),
    Way(
        "`-k quality --spqr-partial` where its threshold is missed",
        ("-k", "quality", "--spqr-partial"),
        thresholds=MISSED,
        asked=True,
    ),
    Way(
        "`-k nothing --spqr-partial`", ("-k", "nothing_has_this_name", "--spqr-partial"), asked=True
    ),
    Way(
        "`--spqr-profiles=lite`: a smaller scope, all of it measured",
        ("--spqr-profiles=lite",),
        asked=True,
    ),
    Way("`--spqr-profiles=none`", ("--spqr-profiles=none",)),
    Way("`--spqr-scenarios=none`", ("--spqr-scenarios=none",)),
    Way("`--spqr-limit=2`", ("--spqr-limit=2",)),
    Way("`--spqr-limit=2 --spqr-partial`", ("--spqr-limit=2", "--spqr-partial"), asked=True),
    Way(
        "`--spqr-inconclusive=point` where an interval leaves a case undecided",
        ("--spqr-inconclusive=point",),
        thresholds={"adherence": 0.9},
    ),
    Way("an undecided case", thresholds={"adherence": 0.9}),
    Way("a missed threshold", thresholds=MISSED),
    Way("nothing: the whole run, every threshold met"),
)
