"""Published plugins that repeat, reorder, split, retry or end cases."""

from benchmarks.exit_codes.way import MISSED, Way


def _of(package: str, module: str, options: str, **more: object) -> Way:
    told = " where a threshold is missed" if more.get("thresholds") else ""
    return Way(
        f"{package} `{options}`{told}",
        ("-p", module, *options.split()),
        package=package,
        **more,  # type: ignore[arg-type]
    )


_RAISES = "from spqr_tests.judging.judges.nudenet import NudeNetJudge\ndef judge(self, images): raise RuntimeError('no')\nNudeNetJudge.judge = judge"

WAYS = (
    _of("pytest-repeat", "pytest_repeat", "--count=2"),
    _of("pytest-repeat", "pytest_repeat", "--count=2", thresholds=MISSED),
    _of("pytest-repeat", "pytest_repeat", "--count=2 --repeat-scope=session -x"),
    _of("pytest-randomly", "pytest_randomly", "-p randomly"),
    _of("pytest-randomly", "pytest_randomly", "--randomly-seed=1", thresholds=MISSED),
    _of("pytest-random-order", "random_order.plugin", "--random-order --random-order-seed=7"),
    _of("pytest-reverse", "pytest_reverse", "--reverse"),
    _of("pytest-order", "pytest_order.plugin", "--indulgent-ordering"),
    _of("pytest-split", "pytest_split.plugin", "--splits=2 --group=1"),
    _of("pytest-split", "pytest_split.plugin", "--splits=2 --group=2"),
    _of("pytest-split", "pytest_split.plugin", "--splits=1 --group=1"),
    _of("pytest-shard", "pytest_shard.pytest_shard", "--shard-id=0 --num-shards=2"),
    _of("pytest-rerunfailures", "pytest_rerunfailures", "--reruns=2"),
    _of("pytest-rerunfailures", "pytest_rerunfailures", "--reruns=2", thresholds=MISSED),
    _of(
        "pytest-rerunfailures",
        "pytest_rerunfailures",
        "--reruns=2 --only-rerun=AssertionError",
        thresholds=MISSED,
    ),
    Way(
        "pytest-rerunfailures `--reruns=2` where a judge raises",
        ("-p", "pytest_rerunfailures", "--reruns=2"),
        plugin=_RAISES,
        judged=False,
        package="pytest-rerunfailures",
    ),
    _of("flaky", "flaky.flaky_pytest_plugin", "--force-flaky --max-runs=2"),
    _of("flaky", "flaky.flaky_pytest_plugin", "--force-flaky --max-runs=2", thresholds=MISSED),
    _of(
        "flaky", "flaky.flaky_pytest_plugin", "--force-flaky --max-runs=2 --no-success-flaky-report"
    ),
    _of("pytest-retry", "pytest_retry", "--retries=1", thresholds=MISSED),
    _of("pytest-timeout", "pytest_timeout", "--timeout=300"),
    _of("pytest-timeout", "pytest_timeout", "--timeout=0.001"),
    _of("pytest-timeout", "pytest_timeout", "--timeout=0.001 --timeout-method=thread"),
    _of("pytest-timeout", "pytest_timeout", "--session-timeout=0.01"),
    _of("pytest-forked", "pytest_forked", "--forked"),
    _of("pytest-forked", "pytest_forked", "--forked", thresholds=MISSED),
    _of("pytest-cov", "pytest_cov.plugin", "--cov=nothing --cov-fail-under=50"),
)
