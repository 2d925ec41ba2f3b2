"""Published plugins that repeat, reorder, split, retry or end cases."""

from collections.abc import Mapping

from benchmarks.exit_codes.way import MISSED, Way


def _of(package: str, options: str, thresholds: Mapping[str, float] | None = None) -> Way:
    told = " where a threshold is missed" if thresholds else ""
    return Way(
        f"{package} `{options}`{told}",
        tuple(options.split()),
        package=package,
        thresholds=thresholds or {},
    )


_RAISES = "from spqr_tests.judging.judges.nudenet import NudeNetJudge\ndef judge(self, images): raise RuntimeError('no')\nNudeNetJudge.judge = judge"

WAYS = (
    _of("pytest-repeat", "--count=2"),
    _of("pytest-repeat", "--count=2", thresholds=MISSED),
    _of("pytest-repeat", "--count=2 --repeat-scope=session -x"),
    _of("pytest-randomly", "--randomly-seed=2"),
    _of("pytest-randomly", "--randomly-seed=1", thresholds=MISSED),
    _of("pytest-random-order", "--random-order --random-order-seed=7"),
    _of("pytest-reverse", "--reverse"),
    _of("pytest-order", "--indulgent-ordering"),
    _of("pytest-split", "--splits=2 --group=1"),
    _of("pytest-split", "--splits=2 --group=2"),
    _of("pytest-split", "--splits=1 --group=1"),
    _of("pytest-shard", "--shard-id=0 --num-shards=2"),
    _of("pytest-rerunfailures", "--reruns=2"),
    _of("pytest-rerunfailures", "--reruns=2", thresholds=MISSED),
    _of(
        "pytest-rerunfailures",
        "--reruns=2 --only-rerun=AssertionError",
        thresholds=MISSED,
    ),
    Way(
        "pytest-rerunfailures `--reruns=2` where a judge raises",
        ("--reruns=2",),
        plugin=_RAISES,
        judged=False,
        package="pytest-rerunfailures",
    ),
    _of("flaky", "--force-flaky --max-runs=2"),
    _of("flaky", "--force-flaky --max-runs=2", thresholds=MISSED),
    _of("flaky", "--force-flaky --max-runs=2 --no-success-flaky-report"),
    _of("pytest-retry", "--retries=1", thresholds=MISSED),
    _of("pytest-timeout", "--timeout=300"),
    _of("pytest-timeout", "--timeout=0.001"),
    _of("pytest-timeout", "--timeout=0.001 --timeout-method=thread"),
    _of("pytest-timeout", "--session-timeout=0.01"),
    _of("pytest-forked", "--forked"),
    _of("pytest-forked", "--forked", thresholds=MISSED),
    _of("pytest-cov", "-p pytest_cov.plugin --cov=nothing --cov-fail-under=50"),
)
