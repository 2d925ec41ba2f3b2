"""Hooks that skip, replace or repeat what a case does."""

from benchmarks.exit_codes.way import MISSED, Way

_FIRST = "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
_LAST = "import pytest\n@pytest.hookimpl(trylast=True)\n"
_AROUND = "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
_SWALLOW = "\n    try: return (yield)\n    except BaseException: return None"

WAYS = (
    Way(
        "`pytest_runtestloop` does nothing", plugin=_FIRST + "def pytest_runtestloop(): return True"
    ),
    Way(
        "`pytest_runtestloop` runs the first item alone",
        plugin=_FIRST
        + "def pytest_runtestloop(session):\n    one = session.items[0]\n    one.ihook.pytest_runtest_protocol(item=one, nextitem=None)\n    return True",
    ),
    Way(
        "`pytest_runtest_protocol` does nothing",
        plugin=_FIRST + "def pytest_runtest_protocol(): return True",
    ),
    Way(
        "`pytest_runtest_protocol` does nothing for one case",
        plugin=_FIRST
        + "def pytest_runtest_protocol(item): return True if 'quality' in item.nodeid else None",
    ),
    Way(
        "`pytest_runtest_protocol` reports the start and the end alone",
        plugin=_FIRST
        + "def pytest_runtest_protocol(item):\n    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)\n    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)\n    return True",
    ),
    Way(
        "`pytest_runtest_protocol` runs each case twice",
        plugin=_FIRST
        + "def pytest_runtest_protocol(item, nextitem):\n    from _pytest.runner import runtestprotocol\n    runtestprotocol(item, nextitem=item)\n    runtestprotocol(item, nextitem=nextitem)\n    return True",
    ),
    Way(
        "`pytest_runtest_setup` skips",
        plugin="import pytest\ndef pytest_runtest_setup(): pytest.skip('no')",
    ),
    Way(
        "`pytest_runtest_setup` skips one case",
        plugin="import pytest\ndef pytest_runtest_setup(item):\n    if 'quality' in item.nodeid: pytest.skip('no')",
    ),
    Way(
        "`pytest_runtest_setup` raises",
        plugin="def pytest_runtest_setup(): raise RuntimeError('no')",
    ),
    Way(
        "`pytest_runtest_setup` calls xfail",
        plugin="import pytest\ndef pytest_runtest_setup(): pytest.xfail('no')",
    ),
    Way(
        "`pytest_runtest_call` skips",
        plugin=_FIRST + "def pytest_runtest_call(): pytest.skip('no')",
    ),
    Way(
        "`pytest_runtest_call` calls xfail",
        plugin=_FIRST + "def pytest_runtest_call(): pytest.xfail('no')",
    ),
    Way(
        "`pytest_runtest_call` skips after the case",
        plugin=_LAST + "def pytest_runtest_call(): pytest.skip('no')",
    ),
    Way(
        "`pytest_runtest_call` swallows what a case raises, where a threshold is missed",
        plugin=_AROUND + "def pytest_runtest_call():" + _SWALLOW,
        thresholds=MISSED,
    ),
    Way(
        "`pytest_runtest_call` swallows what a judge raises",
        plugin=_AROUND
        + "def pytest_runtest_call():"
        + _SWALLOW
        + "\nfrom spqr_tests.judging.judges.nudenet import NudeNetJudge\ndef judge(self, images): raise RuntimeError('no')\nNudeNetJudge.judge = judge",
        judged=False,
    ),
    Way(
        "`pytest_runtest_setup` swallows what a fixture raises",
        plugin=_AROUND
        + "def pytest_runtest_setup():"
        + _SWALLOW
        + "\nfrom spqr_tests.judging.judges.nudenet import NudeNetJudge\ndef judge(self, images): raise RuntimeError('no')\nNudeNetJudge.judge = judge",
        judged=False,
    ),
    Way(
        "`pytest_pyfunc_call` does nothing", plugin=_FIRST + "def pytest_pyfunc_call(): return True"
    ),
    Way(
        "`pytest_pyfunc_call` does nothing for one case",
        plugin=_FIRST
        + "def pytest_pyfunc_call(pyfuncitem): return True if 'quality' in pyfuncitem.nodeid else None",
    ),
    Way(
        "`pytest_pyfunc_call` swallows what a case raises, where a threshold is missed",
        plugin=_AROUND + "def pytest_pyfunc_call():" + _SWALLOW,
        thresholds=MISSED,
    ),
    Way(
        "`pytest_runtest_call` replaces the function",
        plugin=_FIRST + "def pytest_runtest_call(item): item.obj = lambda **_: None",
    ),
    Way(
        "`pytest_runtest_call` replaces a fixture's value",
        plugin=_FIRST
        + "def pytest_runtest_call(item):\n    if 'spqr_gate' in item.funcargs: item.funcargs['spqr_gate'] = lambda measured: type('D', (), {'passed': True, 'outcome': 'pass', 'sentence': ''})",
    ),
    Way(
        "`pytest_fixture_setup` gives None",
        plugin=_FIRST
        + "def pytest_fixture_setup(fixturedef, request):\n    fixturedef.cached_result = (None, fixturedef.cache_key(request), None)\n    return True",
    ),
    Way(
        "`pytest_runtest_teardown` raises",
        plugin="def pytest_runtest_teardown(): raise RuntimeError('no')",
    ),
    Way(
        "`pytest_runtest_teardown` clears the properties",
        plugin=_LAST + "def pytest_runtest_teardown(item): item.user_properties.clear()",
    ),
    Way(
        "`pytest_runtest_call` clears the properties after the case",
        plugin=_LAST + "def pytest_runtest_call(item): item.user_properties.clear()",
    ),
    Way(
        "an autouse fixture skips",
        plugin="import pytest\n@pytest.fixture(autouse=True)\ndef nothing(): pytest.skip('no')",
    ),
    Way(
        "an autouse fixture raises",
        plugin="import pytest\n@pytest.fixture(autouse=True)\ndef nothing(): raise RuntimeError('no')",
    ),
    Way(
        "an autouse fixture sets `shouldstop`",
        plugin="import pytest\n@pytest.fixture(autouse=True)\ndef stop(request): request.session.shouldstop = 'enough'",
    ),
    Way(
        "an autouse fixture sets `shouldfail`",
        plugin="import pytest\n@pytest.fixture(autouse=True)\ndef stop(request): request.session.shouldfail = 'enough'",
    ),
    Way(
        "`pytest_runtest_logreport` sets `shouldstop`",
        plugin="import pytest\ndef pytest_configure(config): config.pluginmanager.register(Stop(config))\nclass Stop:\n    def __init__(self, config): self.config = config\n    def pytest_runtest_logreport(self, report):\n        self.config.pluginmanager.get_plugin('session').shouldstop = 'enough'",
    ),
    Way(
        "a case of one's own that fails",
        ("test_own.py", "{cases}"),
        own="def test_mine(): assert False",
    ),
    Way(
        "a case of one's own that skips",
        ("test_own.py", "{cases}"),
        own="import pytest\ndef test_mine(): pytest.skip('no')",
    ),
)
