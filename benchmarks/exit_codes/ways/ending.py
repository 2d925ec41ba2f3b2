"""The process ends or is ended, a judge breaks, the report cannot be written."""

from benchmarks.exit_codes.way import MISSED, Way

_JUDGE = "from spqr_tests.judging.judges.nudenet import NudeNetJudge\ndef judge(self, images): {}\nNudeNetJudge.judge = judge"


def _judge(what: str, does: str, *arguments: str) -> Way:
    return Way(f"a judge {what}", arguments, plugin=_JUDGE.format(does), judged=False)


def _case(what: str, does: str, *, beyond: bool = False) -> Way:
    """In the third case."""
    source = f"import os, signal, pytest\nseen = []\ndef pytest_runtest_call(item):\n    seen.append(item)\n    if len(seen) == 3: {does}"
    return Way(f"a hook {what}, in the third case", plugin=source, beyond=beyond)


WAYS = (
    Way(
        "a plugin ends the process with 0 while it is imported (`sys.exit(0)`)",
        plugin="import sys; sys.exit(0)",
        beyond=True,
    ),
    _judge("raises", "raise RuntimeError('no')"),
    _judge("raises, with `-x`", "raise RuntimeError('no')", "-x"),
    _judge("leaves images out", "return []"),
    _judge("gives None for each image", "return [None for _ in images]"),
    _judge("exits (`sys.exit(0)`)", "raise SystemExit(0)"),
    _judge("calls `pytest.skip`", "import pytest; pytest.skip('no')"),
    _judge("calls `pytest.xfail`", "import pytest; pytest.xfail('no')"),
    _judge("calls `pytest.exit` with 0", "import pytest; pytest.exit('enough', returncode=0)"),
    _judge("raises KeyboardInterrupt", "raise KeyboardInterrupt"),
    Way(
        "a judge of the suite's process ends it (`os._exit(0)`); judges of packages run in another",
        plugin=_JUDGE.format("import os; os._exit(0)"),
        judged=False,
        beyond=True,
    ),
    _case("ends the process (`os._exit(0)`)", "os._exit(0)", beyond=True),
    _case("ends the process (`os._exit(7)`)", "os._exit(7)"),
    _case("exits (`sys.exit(0)`)", "raise SystemExit(0)"),
    _case("calls `pytest.exit` with 0", "pytest.exit('enough', returncode=0)"),
    _case("calls `pytest.exit`", "pytest.exit('enough')"),
    _case("sends SIGINT", "os.kill(os.getpid(), signal.SIGINT)"),
    _case("sends SIGTERM", "os.kill(os.getpid(), signal.SIGTERM)"),
    _case("sends SIGKILL", "os.kill(os.getpid(), signal.SIGKILL)"),
    _case("crashes (SIGSEGV)", "os.kill(os.getpid(), signal.SIGSEGV)"),
    _case("sends SIGHUP", "os.kill(os.getpid(), signal.SIGHUP)"),
    _case("raises MemoryError", "raise MemoryError"),
    _case("recurses without end", "(f := lambda: f())()"),
    Way(
        "`atexit` ends the process with 0, after a run that missed a threshold",
        plugin="import atexit, os\natexit.register(os._exit, 0)",
        thresholds=MISSED,
        beyond=True,
    ),
    Way(
        "`pytest_unconfigure` ends the process with 0, after a run that missed a threshold",
        plugin="import os, sys\ndef pytest_unconfigure():\n    sys.stdout.flush()\n    os._exit(0)",
        thresholds=MISSED,
        beyond=True,
    ),
    Way(
        "`pytest_sessionfinish` ends the process with 0, first of all hooks",
        plugin="import os, pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(): os._exit(0)",
        beyond=True,
    ),
    Way(
        "`pytest_collection_modifyitems` ends the process with 0, before any case",
        plugin="import os\ndef pytest_collection_modifyitems(): os._exit(0)",
        beyond=True,
    ),
    Way(
        "the disk is full when the report is written",
        plugin="import errno, os\nfrom spqr_tests.store import whole_files\nput = whole_files.put\ndef full(path, text):\n    if '\"finished\"' in text: raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))\n    put(path, text)\nwhole_files.put = full",
    ),
    Way(
        "report.json is a folder",
        ("--spqr-report=taken",),
        plugin="from pathlib import Path\nPath('taken/report.json/x').mkdir(parents=True, exist_ok=True)",
    ),
    Way(
        "the output is closed",
        plugin="import os\ndef pytest_runtest_logfinish():\n    import sys\n    sys.stdout.flush()\n    os.close(1)",
        thresholds=MISSED,
    ),
)
