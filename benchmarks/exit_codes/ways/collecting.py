"""Hooks that drop, add, rename, replace or reorder what is collected."""

from benchmarks.exit_codes.way import MISSED, Way

_MODIFY = "def pytest_collection_modifyitems(config, items):\n    "
_LAST = "import pytest\n@pytest.hookimpl(trylast=True)\n" + _MODIFY


def _items(what: str, change: str) -> Way:
    return Way(f"`pytest_collection_modifyitems` {what}", plugin=_MODIFY + change)


WAYS = (
    _items("keeps three items", "del items[3:]"),
    _items("drops the last item", "items.pop()"),
    _items("drops everything", "items.clear()"),
    Way(
        "`pytest_collection_modifyitems` keeps three items, last of all hooks",
        plugin=_LAST + "del items[3:]",
    ),
    _items(
        "deselects all but one, and says so",
        "config.hook.pytest_deselected(items=items[1:]); items[:] = items[:1]",
    ),
    _items("reverses the items", "items.reverse()"),
    _items("shuffles the items", "import random; random.Random(0).shuffle(items)"),
    _items("repeats each item", "items[:] = [one for one in items for _ in range(2)]"),
    _items("repeats one item in the place of the others", "items[:] = [items[0]] * len(items)"),
    _items(
        "marks all as skipped",
        "import pytest; [one.add_marker(pytest.mark.skip('no')) for one in items]",
    ),
    _items(
        "marks all as xfail", "import pytest; [one.add_marker(pytest.mark.xfail) for one in items]"
    ),
    _items(
        "marks all as xfail that do not run",
        "import pytest; [one.add_marker(pytest.mark.xfail(run=False)) for one in items]",
    ),
    Way(
        "`pytest_collection_modifyitems` marks all as xfail, where a threshold is missed",
        plugin=_MODIFY + "import pytest; [one.add_marker(pytest.mark.xfail) for one in items]",
        thresholds=MISSED,
    ),
    _items("gives all one node id", "\n    for one in items: one._nodeid = 'test.py::test'"),
    _items(
        "gives each another node id",
        "\n    for n, one in enumerate(items): one._nodeid = f't.py::t{n}'",
    ),
    _items(
        "replaces the functions by empty ones", "\n    for one in items: one.obj = lambda **_: None"
    ),
    _items(
        "replaces the file of each item",
        "\n    from pathlib import Path\n    for one in items: one.path = Path('/tmp/test_x.py')",
    ),
    _items("clears the fixtures of each item", "\n    for one in items: one.fixturenames.clear()"),
    _items("raises", "raise RuntimeError('no')"),
    _items("calls `pytest.exit` with 0", "import pytest; pytest.exit('enough', returncode=0)"),
    _items("exits", "raise SystemExit(0)"),
    _items("sets `collectonly`", "config.option.collectonly = True"),
    Way(
        "`pytest_ignore_collect` ignores a file of cases",
        plugin="def pytest_ignore_collect(collection_path):\n    return True if collection_path.name == 'test_score.py' else None",
    ),
    Way(
        "`pytest_ignore_collect` ignores everything",
        plugin="def pytest_ignore_collect(collection_path): return True",
    ),
    Way(
        "`pytest_collect_file` gives nothing",
        plugin="import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_collect_file():\n    yield\n    return []",
    ),
    Way(
        "`pytest_pycollect_makemodule` raises a skip",
        plugin="import pytest\ndef pytest_pycollect_makemodule(): pytest.skip('no', allow_module_level=True)",
    ),
    Way(
        "`pytest_pycollect_makeitem` gives nothing",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_pycollect_makeitem(): return []",
    ),
    Way(
        "`pytest_generate_tests` parametrizes by nothing",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_generate_tests(metafunc):\n    if 'category' in metafunc.fixturenames: metafunc.parametrize('category', [])",
    ),
    Way(
        "`pytest_generate_tests` repeats every case",
        plugin="def pytest_generate_tests(metafunc):\n    metafunc.fixturenames.append('again')\n    metafunc.parametrize('again', range(2))",
    ),
    Way(
        "`pytest_make_collect_report` gives an empty report",
        plugin="from _pytest.reports import CollectReport\ndef pytest_make_collect_report(collector): return CollectReport(collector.nodeid, 'passed', None, [])",
    ),
    Way(
        "`pytest_collection` does nothing",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_collection(session):\n    session.items = []\n    return True",
    ),
    Way(
        "`pytest_collection_finish` drops items",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_finish(session): del session.items[3:]",
    ),
    Way(
        "`pytest_collection_finish` drops items, last of all hooks",
        plugin="import pytest\n@pytest.hookimpl(trylast=True)\ndef pytest_collection_finish(session): del session.items[3:]",
    ),
    Way(
        "`pytest_load_initial_conftests` adds `-k safety`",
        plugin="def pytest_load_initial_conftests(early_config, args): early_config.known_args_namespace.keyword = 'safety'; args[:0] = ['-k', 'safety']",
    ),
    Way(
        "`pytest_configure` sets `-k safety`",
        plugin="def pytest_configure(config): config.option.keyword = 'safety'",
    ),
    Way(
        "`pytest_configure` sets `collectonly`",
        plugin="def pytest_configure(config): config.option.collectonly = True",
    ),
    Way(
        "`pytest_configure` sets `spqr_plan`",
        plugin="def pytest_configure(config): config.option.spqr_plan = True",
    ),
    Way(
        "`pytest_configure` sets `spqr_partial` and `-k safety`",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_configure(config): config.option.spqr_partial = True; config.option.keyword = 'safety'",
    ),
    Way(
        "`pytest_configure` sets `spqr_model` to None",
        plugin="import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_configure(config): config.option.spqr_model = None",
    ),
    Way(
        "`pytest_configure` sets the test paths to nothing",
        plugin="import pytest\n@pytest.hookimpl(trylast=True)\ndef pytest_configure(config): config.args[:] = ['.']",
    ),
    Way(
        "`pytest_sessionstart` unregisters the suite",
        plugin="def pytest_sessionstart(session):\n    manager = session.config.pluginmanager\n    manager.unregister(name='spqr-suite')",
    ),
)
