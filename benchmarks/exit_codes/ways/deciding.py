"""Hooks that change reports, properties and pytest's exit status."""

from collections.abc import Mapping

from benchmarks.exit_codes.way import MISSED, Way

_REPORT = "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_makereport(item, call):\n    made = yield\n"
_LATE = "import pytest\n@pytest.hookimpl(trylast=True)\n"
_AROUND = "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
_BROKEN = "\nfrom spqr_tests.judging.judges.nudenet import NudeNetJudge\ndef judge(self, images): raise RuntimeError('no')\nNudeNetJudge.judge = judge"


def _made(what: str, change: str, thresholds: Mapping[str, float] | None = None) -> Way:
    return Way(
        f"`pytest_runtest_makereport` {what}",
        plugin=f"{_REPORT}{change}\n    return made",
        thresholds=thresholds or {},
    )


WAYS = (
    _made(
        "makes every result 'passed', where a threshold is missed",
        "    made.outcome = 'passed'; made.longrepr = None",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_runtest_makereport` makes every result 'passed', where a judge raises",
        plugin=_REPORT
        + "    made.outcome = 'passed'; made.longrepr = None\n    return made"
        + _BROKEN,
        judged=False,
    ),
    _made(
        "makes every result 'skipped'",
        "    made.outcome = 'skipped'; made.longrepr = ('x', 1, 'no')",
    ),
    _made(
        "makes every result an expected failure",
        "    made.outcome = 'skipped'; made.wasxfail = 'no'",
    ),
    _made(
        "makes every failure an expected one, where a threshold is missed",
        "    made.wasxfail = 'no'\n    if made.failed: made.outcome = 'skipped'",
        thresholds=MISSED,
    ),
    _made("clears the properties", "    made.user_properties.clear()"),
    _made(
        "clears the properties where a threshold is missed",
        "    made.user_properties.clear()\n    made.outcome = 'passed'",
        thresholds=MISSED,
    ),
    _made("gives each report another node id", "    made.nodeid = 'test_x.py::test_x'"),
    _made("gives each report another phase", "    made.when = 'setup'"),
    _made(
        "gives a new report",
        "    from _pytest.reports import TestReport\n    made = TestReport(item.nodeid, item.location, {}, 'passed', None, call.when)",
    ),
    _made("gives None", "    made = None"),
    _made("raises", "    raise RuntimeError('no')"),
    _made(
        "takes the mark of a case away",
        "    made.spqr_case = False\n    made.user_properties.clear()",
    ),
    Way(
        "`pytest_report_teststatus` calls everything passed, where a threshold is missed",
        plugin="def pytest_report_teststatus(): return 'passed', '.', 'PASSED'",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_runtest_logreport` makes reports 'passed', where a threshold is missed",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_logreport(report): report.outcome = 'passed'",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_runtest_logreport` clears the properties",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_logreport(report): report.user_properties.clear()",
    ),
    Way(
        "`pytest_runtest_logreport` raises",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_logreport(report): raise RuntimeError('no')",
    ),
    Way(
        "`pytest_report_to_serializable` clears the properties",
        plugin="import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_report_to_serializable(report):\n    made = yield\n    made['user_properties'] = []\n    return made",
    ),
    Way(
        "`pytest_exception_interact` exits",
        plugin="def pytest_exception_interact(): raise SystemExit(0)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` sets the exit status to 0, where a threshold is missed",
        plugin="def pytest_sessionfinish(session): session.exitstatus = 0",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` sets the exit status to 0, last of all hooks",
        plugin=_LATE
        + "def pytest_sessionfinish(session): session.exitstatus = 0\ndef pytest_sessionstart(session):\n    import sys\n    manager, me = session.config.pluginmanager, sys.modules[__name__]\n    manager.unregister(me); manager.register(me)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` sets the exit status to 0, around all hooks",
        plugin=_AROUND
        + "def pytest_sessionfinish(session):\n    yield\n    session.exitstatus = 0",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` sets the exit status to 0, around all hooks, of a part",
        ("-k", "safety"),
        plugin=_AROUND
        + "def pytest_sessionfinish(session):\n    yield\n    session.exitstatus = 0",
    ),
    Way(
        "`pytest_sessionfinish` sets the exit status to 0, around all hooks, where a judge raises",
        plugin=_AROUND
        + "def pytest_sessionfinish(session):\n    yield\n    session.exitstatus = 0"
        + _BROKEN,
        judged=False,
    ),
    Way(
        "`pytest_sessionfinish` sets the exit status to 0, where a test of one's own fails",
        ("test_own.py", "{cases}"),
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session): session.exitstatus = 0",
        own="def test_mine(): assert False",
    ),
    Way(
        "`pytest_sessionfinish` raises, first of all hooks",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(): raise RuntimeError('no')",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` calls `pytest.exit` with 0, first of all hooks",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(): pytest.exit('enough', returncode=0)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` exits with 0, first of all hooks",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(): raise SystemExit(0)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionfinish` exits with 0, last of all hooks",
        plugin=_AROUND + "def pytest_sessionfinish():\n    yield\n    raise SystemExit(0)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_unconfigure` exits with 0",
        plugin="def pytest_unconfigure(): raise SystemExit(0)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_unconfigure` sets the exit status to 0",
        plugin="kept = []\ndef pytest_sessionstart(session): kept.append(session)\ndef pytest_unconfigure():\n    if kept: kept[0].exitstatus = 0",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_terminal_summary` raises",
        plugin="def pytest_terminal_summary(): raise RuntimeError('no')",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_terminal_summary` exits with 0",
        plugin="def pytest_terminal_summary(): raise SystemExit(0)",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_cmdline_main` returns 0 without a session",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_cmdline_main(): return 0",
    ),
    Way(
        "`pytest_cmdline_main` exits with 0 without a session",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_cmdline_main(): raise SystemExit(0)",
    ),
    Way(
        "`pytest_cmdline_main` makes every code 0, where a threshold is missed",
        plugin="import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_cmdline_main():\n    yield\n    return 0",
        thresholds=MISSED,
    ),
    Way(
        "`pytest_sessionstart` raises", plugin="def pytest_sessionstart(): raise RuntimeError('no')"
    ),
    Way(
        "`pytest_sessionstart` exits with 0",
        plugin="def pytest_sessionstart(): raise SystemExit(0)",
    ),
    Way(
        "`pytest_sessionstart` calls `pytest.exit` with 0",
        plugin="import pytest\ndef pytest_sessionstart(): pytest.exit('enough', returncode=0)",
    ),
    Way(
        "`pytest_configure` calls `pytest.exit` with 0",
        plugin="import pytest\ndef pytest_configure(): pytest.exit('enough', returncode=0)",
    ),
    Way(
        "`pytest_internalerror` is silent, and the session breaks",
        plugin="def pytest_internalerror(): return True\ndef pytest_runtest_logfinish(): raise RuntimeError('no')",
    ),
)
