"""Runs a way: in a folder of its own, in processes of its own, on a store that is filled."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.exit_codes.rows import Result
from benchmarks.exit_codes.way import CASES, MISSED, Way
from spqr_tests.errors import EvidenceError
from spqr_tests.store.store import LAYOUT

CHECKOUT = Path(__file__).resolve().parents[2]
PROTOCOL = CHECKOUT / "tests" / "plugin" / "tiny.toml"
AXES = ("safety", "adherence", "quality", "robustness", "spqr")
WORKERS = ("-n", "2")
_FOLDER_OF_CASES = CHECKOUT / "spqr_tests"
# Plugins of the environment that have nothing to do with it, and take a second to load.
_QUIET = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:pytest_cov")
_LIMIT = 180
"""Seconds after which a run hangs."""
_MOST = 200
"""Characters of a sentence that the page shows."""


Pytest = Callable[[Sequence[str], Path, Mapping[str, str]], tuple[int, str]]
"""Runs it with arguments, in a folder, with variables: its exit code and output."""


def in_a_process(
    arguments: Sequence[str], here: Path, environment: Mapping[str, str]
) -> tuple[int, str]:
    """As a user starts it."""
    log = here / "pytest.log"
    with log.open("wb") as file:
        code = subprocess.run(  # noqa: S603  arguments of ours
            [sys.executable, "-m", "pytest", *arguments],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT,
            check=False,
        ).returncode
    return code, log.read_text(encoding="utf-8", errors="replace")


class World:
    """The folder with the filled store, and where published plugins are installed."""

    def __init__(
        self,
        folder: Path,
        packages: Path | None,
        store: Path | None = None,
        pytest: Pytest = in_a_process,
    ) -> None:
        self._folder = folder
        self._packages = packages
        self._pytest = pytest
        self.store = store or folder / "store"

    def fill(self) -> None:
        """Measure once what every way finds in the store."""
        if not (self.store / LAYOUT / "judgements").is_dir():
            way = Way("fill")
            here = self._fresh(way)
            (here / "thresholds.toml").write_text(_thresholds(way), encoding="utf-8")
            code, output = self._start(way, here, ())
            if code != 0:
                end = output[-2000:].splitlines()
                raise EvidenceError("The store cannot be filled:", *end)

    def result(self, way: Way, workers: tuple[str, ...] = ()) -> Result:
        """What a way leads to."""
        here = self._fresh(way)
        if way.earlier is not None:
            before = Way("", way.earlier, thresholds=MISSED)
            self._start(before, here, ())
            shutil.rmtree(here / "earlier", ignore_errors=True)
            (here / "report").rename(here / "earlier")
        (here / "thresholds.toml").write_text(_thresholds(way), encoding="utf-8")
        code, output = self._start(way, here, workers)
        report = here / "report" / "report.json"
        found = json.loads(report.read_bytes()) if report.is_file() else {"state": "none"}
        return Result(
            code=code,
            sentence=_sentence(output, found, here),
            complete=bool(found.get("complete")),
            state=found["state"],
        )

    def _fresh(self, way: Way) -> Path:
        here = self._folder / "run"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        (here / "thresholds.toml").write_text(
            _thresholds(Way("", thresholds=MISSED)), encoding="utf-8"
        )
        (here / "met.toml").write_text(_thresholds(Way("")), encoding="utf-8")
        texts = {
            "way.py": way.plugin,
            "conftest.py": way.conftest,
            "test_own.py": way.own,
            "pytest.ini": way.ini and f"[pytest]\n{way.ini}",
        }
        for name, text in texts.items():
            if text:
                (here / name).write_text(f"{text}\n", encoding="utf-8")
        if not way.judged:
            shutil.copytree(self.store, here / "unjudged")
            shutil.rmtree(here / "unjudged" / LAYOUT / "judgements")
        return here

    def _start(self, way: Way, here: Path, workers: tuple[str, ...]) -> tuple[int, str]:
        plugin = ("-p", "way") if way.plugin and "PYTEST_PLUGINS" not in way.environment else ()
        given = [one.replace(CASES, str(_FOLDER_OF_CASES)) for one in way.arguments]
        store = (
            ()
            if "SPQR_STORE" in way.environment
            else (f"--spqr-store={self.store if way.judged else here / 'unjudged'}",)
        )
        arguments = [
            "--model=embedded:uce",
            f"--spqr-protocol={PROTOCOL}",
            *store,
            "--spqr-thresholds=thresholds.toml",
            "--spqr-report=report",
            *_QUIET,
            *plugin,
            *workers,
            *given,
        ]
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTEST_", "SPQR_"))
        } | dict(way.environment)
        if way.package and self._packages is not None:
            path = [str(self._packages / way.package), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        try:
            return self._pytest(arguments, here, environment)
        except subprocess.TimeoutExpired as error:
            raise EvidenceError(f"{way.what}: no end within {_LIMIT} seconds") from error


def _thresholds(way: Way) -> str:
    return "".join(
        f'[tiny.{axis}]\nmin = {way.thresholds.get(axis, 0.0)}\nreason = "a test"\n'
        for axis in AXES
    )


_SEVERAL = re.compile(
    r"(?P<first>broken: [^\s,]+)(?P<others>(?:, [^\s,]+)*?)"
    r"(?: and (?P<more>\d+) more tests?)?:(?= )"
)
_DECISION = re.compile(r"^(?:PASS|FAIL|INCONCLUSIVE): .*", re.MULTILINE)
_LAST_WORD = re.compile(r"^ERROR: (?:Something set|Nothing was decided).*", re.MULTILINE)
_PROBLEM = re.compile(r"^broken: .*", re.MULTILINE)
_USAGE = re.compile(
    r"^(?:ERROR: .*|.*error: .*|Exit: .*|INTERNALERROR> \w+(?:Error|Exit).*|\w+Error: .*)",
    re.MULTILINE,
)


def _first(several: re.Match[str]) -> str:
    """Of several tests that broke the first, and how many more; the page shortens sentences."""
    more = several["others"].count(", ") + int(several["more"] or 0)
    return f"{several['first']} (and {more} more tests):" if more else several[0]


def _sentence(output: str, report: dict[str, object], here: Path) -> str:
    """The sentence that decided, with nothing in it that differs from run to run."""
    decided = _DECISION.findall(output)
    if not decided and report["state"] == "finished":
        decided = [str(report["decision_sentence"])]
    said = [
        *_LAST_WORD.findall(output)[-1:],
        *decided[-1:],
        *(_PROBLEM.findall(output)[:1] if decided and "broke" in decided[-1] else ()),
    ]
    if not said:
        said = _USAGE.findall(output)[-1:] or output.strip().splitlines()[-1:]
    text = (
        _SEVERAL.sub(_first, " / ".join(said))
        .replace(str(here), ".")
        .replace(str(_FOLDER_OF_CASES), "...")
    )
    text = text.replace(str(PROTOCOL), "tiny.toml").replace(str(here.parent), "...")
    text = re.sub(r"(?<=were not made): [^;/]*(?= /|;|$)", "", text)
    text = re.sub(r" in \d+\.\d+s.*", "", text)
    text = re.sub(r"0x[0-9a-f]+|(?<=pid )\d+|gw\d", "...", text)
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
