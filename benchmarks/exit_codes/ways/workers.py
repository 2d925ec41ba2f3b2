"""Options of pytest-xdist, and hooks that act in one of several workers."""

from benchmarks.exit_codes.way import MISSED, Way

_FIRST_WORKER = "import os\nif os.environ.get('PYTEST_XDIST_WORKER') == 'gw0':\n    "
_ANY_WORKER = "import os\nif 'PYTEST_XDIST_WORKER' in os.environ:\n    "

WAYS = (
    *(
        Way(f"`--dist={mode}`", (f"--dist={mode}",))
        for mode in ("load", "loadscope", "loadfile", "loadgroup", "worksteal", "no")
    ),
    Way("`--dist=each --tx 2*popen`", ("--dist=each", "--tx", "2*popen")),
    Way("`--dist=loadfile` where a threshold is missed", ("--dist=loadfile",), thresholds=MISSED),
    Way("`-n 0`", ("-n", "0")),
    Way("`-n 1 --maxprocesses=1`", ("-n", "1", "--maxprocesses=1")),
    Way("`-p no:xdist`", ("-p", "no:xdist")),
    Way("`--maxschedchunk=1`", ("--maxschedchunk=1",)),
    Way("`-x` with workers where a threshold is missed", ("-x", "--dist=load"), thresholds=MISSED),
    Way(
        "one worker drops items",
        plugin=_FIRST_WORKER + "def pytest_collection_modifyitems(items): del items[3:]",
    ),
    Way(
        "all workers drop items",
        plugin=_ANY_WORKER + "def pytest_collection_modifyitems(items): del items[3:]",
    ),
    Way(
        "one worker runs nothing",
        plugin=_FIRST_WORKER + "def pytest_runtest_protocol(): return True",
    ),
    Way(
        "all workers run nothing", plugin=_ANY_WORKER + "def pytest_runtest_protocol(): return True"
    ),
    Way(
        "one worker clears the properties",
        plugin=_FIRST_WORKER + "def pytest_runtest_teardown(item): item.user_properties.clear()",
    ),
    Way(
        "one worker ends (`os._exit(0)`)",
        plugin=_FIRST_WORKER + "def pytest_runtest_call(): os._exit(0)",
    ),
    Way(
        "all workers end (`os._exit(0)`)",
        ("--max-worker-restart=1",),
        plugin=_ANY_WORKER + "def pytest_runtest_call(): os._exit(0)",
    ),
    Way("one worker ends before it collects", plugin=_FIRST_WORKER + "os._exit(0)"),
    Way(
        "one worker ends after its cases",
        plugin=_FIRST_WORKER + "def pytest_sessionfinish(): os._exit(0)",
    ),
    Way(
        "one worker is killed (SIGKILL)",
        plugin=_FIRST_WORKER + "def pytest_runtest_call(): os.kill(os.getpid(), 9)",
    ),
    Way(
        "one worker is killed, with `--max-worker-restart=0`",
        ("--max-worker-restart=0",),
        plugin=_FIRST_WORKER + "def pytest_runtest_call(): os.kill(os.getpid(), 9)",
    ),
    Way(
        "one worker's hook raises",
        plugin=_FIRST_WORKER + "def pytest_runtest_logreport(): raise RuntimeError('no')",
    ),
    Way(
        "one worker calls `pytest.exit` with 0",
        plugin=_FIRST_WORKER
        + "def pytest_runtest_call():\n        import pytest; pytest.exit('enough', returncode=0)",
    ),
    Way(
        "`pytest_xdist_make_scheduler` raises",
        plugin="import pytest\n@pytest.hookimpl(optionalhook=True)\ndef pytest_xdist_make_scheduler(): raise RuntimeError('no')",
    ),
    Way(
        "`pytest_testnodedown` exits",
        plugin="import pytest\n@pytest.hookimpl(optionalhook=True)\ndef pytest_testnodedown(): raise SystemExit(0)",
    ),
)
