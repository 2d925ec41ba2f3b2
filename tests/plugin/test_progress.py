"""Progress: counts on the way from what is made to one line in the terminal."""

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len

from spqr_tests import quotes
from spqr_tests.execution.tally import Left
from spqr_tests.plugin import live, plain, progress
from spqr_tests.plugin.live import LiveLine
from spqr_tests.plugin.progress import Listener, ProgressReader, RunProgress, teller
from spqr_tests.store.cost import Cost
from tests.running import PROTOCOL, Suite, thresholds
from tests.seconds import PATIENCE

HASTY = (
    "from spqr_tests.plugin import progress\n"
    "progress._FIRST = progress._EVERY = progress._AHEAD = -1.0\n"
    "progress._LOOKS = 0.05\n"
)
LEFT = Left(
    {"train": 4, "generate": 8, "judge": 8}, {"train": 3.0, "generate": 9.0, "judge": 0.2}, 4
)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST", "_EVERY", "_AHEAD"):
        monkeypatch.setattr(progress, name, -1.0)
    monkeypatch.setattr(progress, "_LOOKS", 0.02)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(progress, "write", lambda _, line: lines.append(line))
    return lines


def config(verbose: int = 0, *, plan: bool = False) -> Any:
    return SimpleNamespace(option=SimpleNamespace(verbose=verbose, spqr_plan=plan))


class TestCounting:
    """`RunProgress`, by what it tells."""

    @pytest.fixture
    def told(self) -> list[dict[str, Any]]:
        return []

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
        now = [100.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

        def pass_(seconds: float) -> None:
            now[0] += seconds

        return pass_

    def test_images_and_judgements_count_as_they_are_made(
        self, told: list[dict[str, Any]], clock: Callable[[float], None]
    ) -> None:
        cost = Cost(generated=7)
        counted = RunProgress(told.append, looks=True)
        counted.watch(cost, lambda: LEFT)
        cost.generated, cost.sampling = 15, 4.0
        counted("before fine-tuning", 8, 16)
        clock(1.0)
        cost.judged, cost.judging = 8, 0.5
        counted("judging before fine-tuning with nudenet", 8, 16)
        first, second = told
        assert first["done"]["pieces"] == {"train": 0, "generate": 8, "judge": 0}
        assert second["done"]["seconds"] == {"train": 0.0, "generate": 4.0, "judge": 0.5}
        assert first["left"]["longest"] == 4
        assert second["left"] is None, "one look is enough"

    def test_a_training_that_goes_on_counts_whole_and_is_timed_from_there(
        self, told: list[dict[str, Any]], clock: Callable[[float], None]
    ) -> None:
        cost = Cost()
        counted = RunProgress(told.append, looks=False)
        counted.watch(cost, lambda: LEFT)
        for step in (3, 4):
            clock(2.0)
            counted("fine-tuning lite x general", step, 4)
        cost.finetuned += 1
        clock(2.0)
        counted("lite x general", 8, 8)
        done = told[-1]["done"]
        assert (done["pieces"]["train"], done["timed"]["train"]) == (4, 1)
        assert done["seconds"]["train"] == 2.0
        assert all(one["left"] is None for one in told)

    def test_trainings_elsewhere_count_when_they_end(
        self, told: list[dict[str, Any]], clock: Callable[[float], None]
    ) -> None:
        cost = Cost()
        counted = RunProgress(told.append, looks=True)
        counted.watch(cost, lambda: LEFT)
        counted("work shared out", 1, 9)
        clock(1.0)
        cost.finetuned, cost.training = 1, 12.0
        counted("work shared out", 2, 9)
        assert told[-1]["done"]["pieces"]["train"] == 4
        assert told[-1]["done"]["seconds"]["train"] == 12.0

    def test_it_tells_no_more_than_can_be_read(
        self, told: list[dict[str, Any]], clock: Callable[[float], None]
    ) -> None:
        counted = RunProgress(told.append, looks=False)
        for step in range(100):
            clock(0.001)
            counted("fine-tuning lite x general", step + 1, 100)
        assert len(told) < 8
        counted.flush()
        assert told[-1]["done"]["pieces"]["train"] == 100


class TestListening:
    """`Listener` and the file between it and workers."""

    def test_workers_have_one_line(
        self, written: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = ProgressReader(Listener(config()))
        for name in ("gw0", "gw7"):
            monkeypatch.setenv("PYTEST_XDIST_WORKER", name)
            cost = Cost()
            worker = RunProgress(teller(reader.told), looks=name == "gw0")
            worker.watch(cost, lambda: LEFT)
            cost.generated, cost.sampling = 2, 1.0
            worker("work shared out", 1, 9)
        worker("the store is locked by another run", 0, 0)
        reader.stop()
        assert written[-1] == "gw7: the store is locked by another run"
        assert [line.split(",")[0] for line in written[:-1]] == [
            "spqr: generating 2/10 images",
            "spqr: generating 4/10 images",
        ]
        assert not reader.told.exists()
        worker("work shared out", 2, 9)  # nobody listens any more, and nothing breaks
        assert not reader.told.exists()

    def test_a_line_in_pieces_is_one_event(self, written: list[str]) -> None:
        reader = ProgressReader(Listener(config()))
        event = json.dumps({"process": "gw0", "said": "waiting"})
        reader._read(io.StringIO(event[:9]))
        reader._read(io.StringIO(f'{event[9:]}\n{{"process": "gw\n'))  # cut by a full disk
        reader.stop()
        assert written == ["gw0: waiting"]

    @pytest.mark.parametrize("given", [config(-1), config(plan=True)], ids=["-q", "--spqr-plan"])
    def test_quietly_nothing_is_said(self, written: list[str], given: Any) -> None:
        listener = Listener(given)
        listener.begin()
        counted = RunProgress(listener.hear, looks=True)
        counted.watch(Cost(), lambda: LEFT)
        counted("fine-tuning lite x general", 1, 4)
        counted("the store is locked by another run", 0, 0)
        listener.end()
        assert written == []


class Terminal:
    """A pseudo-terminal of some width, with a writer as pytest's and what arrived in it."""

    def __init__(self, width: int) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, width))
        self.slave = slave
        self.file = os.fdopen(os.dup(slave), "w", encoding="utf-8")
        self.writer = _Writer(self.file)

    def arrived(self) -> str:
        self.file.flush()
        found = b""
        while select.select([self.master], [], [], 0.05)[0]:
            found += os.read(self.master, 65536)
        return found.decode()

    def close(self) -> None:
        self.file.close()
        os.close(self.slave)
        os.close(self.master)


class _Writer:
    width_of_current_line = 0

    def __init__(self, file: Any) -> None:
        self._file = file


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal(40)
    yield made
    made.close()


class TestLiveLine:
    """`LiveLine`, byte by byte."""

    def test_it_is_below_what_pytest_writes_and_goes_before_it_writes_more(
        self, terminal: Terminal
    ) -> None:
        line = LiveLine(terminal.writer, os.dup(terminal.slave))
        terminal.writer._file.write("test_safety.py \x1b[32m.\x1b[0m")
        terminal.arrived()
        line.show("spqr: 1/2")
        assert terminal.arrived() == "\r\n\x1b[2Kspqr: 1/2\x1b[1A\x1b[17G"
        terminal.writer._file.write(".")
        assert terminal.arrived() == "\r\n\x1b[2K\x1b[1A\x1b[17G."
        terminal.writer._file.write("\n")
        assert terminal.arrived() == "\r\n", "it is gone already"
        line.show("spqr: 2/2")
        assert terminal.arrived().endswith("\x1b[1A\x1b[1G")
        line.close()
        assert terminal.arrived() == "\r\n\x1b[2K\x1b[1A\x1b[1G"
        assert terminal.writer._file is terminal.file

    def test_it_is_cut_to_the_terminal_s_width(self, terminal: Terminal) -> None:
        line = LiveLine(terminal.writer, os.dup(terminal.slave))
        line.show("x" * 100)
        assert terminal.arrived().count("x") == 39
        terminal.writer._file.write("y" * 40)
        terminal.arrived()
        line.show("spqr: 1/2")  # the cursor is between two rows
        terminal.writer._file.write("z")
        assert terminal.arrived() == "z"
        line.close()

    def test_threads_may_draw_while_pytest_writes(self, terminal: Terminal) -> None:
        line = LiveLine(terminal.writer, os.dup(terminal.slave))
        drawing = threading.Thread(target=lambda: [line.show(f"<{n}>") for n in range(40)])
        drawing.start()
        for _ in range(39):
            terminal.writer._file.write(".")
        drawing.join()
        line.close()
        said = terminal.arrived()
        plainly = re.sub(r"\r\n\x1b\[2K(?:<\d+>)?\x1b\[1A\x1b\[\d+G", "", said)
        assert plainly == "." * 39

    @pytest.mark.parametrize(
        ("term", "capture", "isatty", "kept"),
        [
            ("xterm", "fd", True, True),
            ("dumb", "fd", True, False),
            ("", "fd", True, False),
            ("xterm", "no", True, False),
            ("xterm", "fd", False, False),
        ],
    )
    def test_where_there_is_one(
        self, monkeypatch: pytest.MonkeyPatch, term: str, capture: str, *, isatty: bool, kept: bool
    ) -> None:
        monkeypatch.setenv("TERM", term)
        assert live._can_keep_a_line(SimpleNamespace(isatty=isatty), capture) is kept


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("safety[gewält], 色", "safety[gewält], 色"),
        ("a\x1b[2Jb\rc\nd\x9b", r"a\x1b[2Jb\rc\nd\x9b"),
        ("\u202eevil\u2069 \u200f\u061c", r"\u202eevil\u2069 \u200f\u061c"),
        ("a\u2028b\ud800", r"a\u2028b\ud800"),
    ],
)
def test_a_terminal_gets_nothing_that_it_obeys(line: str, shown: str) -> None:
    assert quotes.line(line) == shown


def test_lines_break_between_words() -> None:
    assert plain.wrap("one two three", 8) == ["one two", "  three"]
    assert plain.wrap("one /a/long/path-with-parts", 8) == ["one", "  /a/long/path-with-parts"]
    assert plain.wrap("one two three", None) == ["one two three"]


@pytest.mark.parametrize("letter", ["x", "\u8272", "\u202e"])
@pytest.mark.parametrize("width", [40, 80, 300, None])
def test_a_word_without_an_end_is_cut_to_the_width(letter: str, width: int | None) -> None:
    said = plain.wrap(f"SPQR of {letter * 5000} on protocol tiny", width)
    assert all(cell_len(line) <= (width or 240) for line in said)
    shown = " ".join(line.strip() for line in said)
    assert shown.startswith("SPQR of ")
    assert shown.endswith("[...] on protocol tiny")
    path = f"/{'part/' * 39}"
    assert plain.wrap(f"see {path}", width)[-1].strip().endswith(path)


def test_a_run_has_one_line_in_a_terminal(unjudged: Path, tmp_path: Path) -> None:
    """A whole run in a pseudo-terminal: its line comes and goes, and pytest's own stay."""
    (tmp_path / "hasty.py").write_text(HASTY)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-p", "hasty", "-p", "no:hypothesispytest"),
            *("--model=embedded:uce", f"--spqr-protocol={PROTOCOL}", f"--spqr-store={unjudged}"),
            f"--spqr-thresholds={thresholds(tmp_path)}",
        ],
        cwd=tmp_path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTEST_", "SPQR_", "COLUMNS", "NO_COLOR"))
        }
        | {"TERM": "xterm"},
    )
    os.close(slave)
    arrived = b"".join(iter(lambda: _read(master), b"")).decode()
    os.close(master)
    assert running.wait(PATIENCE) == 0, arrived
    drawn = re.compile(r"\r\n\x1b\[2K([^\x1b]*)\x1b\[1A\x1b\[\d+G")
    lines = [line for line in drawn.findall(arrived) if line]
    assert all(re.match(r"spqr: judging \d+/\d+ judgements, ", line) for line in lines), lines
    counts = [int(re.findall(r"\d+", line)[0]) for line in lines]
    assert counts == sorted(counts)
    assert len({re.findall(r"/(\d+)", line)[0] for line in lines}) == 1, "of the same whole"
    assert any(line.endswith(" left in all") for line in lines)
    left = re.sub(r"\x1b\[[0-9;]*m", "", drawn.sub("", arrived))
    assert "\x1b" not in left
    assert re.search(r"^test_safety\.py \.{4} +\[ 33%\]\r$", left, flags=re.MULTILINE)
    assert "PASS: all 12 cases meet their thresholds" in left
    summary = left[left.index("SPQR of embedded:uce") :]
    assert max(len(line) for line in summary.splitlines()) <= 80


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the other end was closed
        return b""


def test_without_a_terminal_workers_have_one_stream_of_lines(
    suite: Suite, unjudged: Path, tmp_path: Path
) -> None:
    (tmp_path / "hasty.py").write_text(HASTY)
    finished = suite("-p", "hasty", "-n2", store=unjudged)
    assert finished.code == 0, finished.output
    said = [line for line in finished.output.splitlines() if "judging" in line]
    assert said
    assert all(line.startswith("spqr: judging ") for line in said), said
    counts = [int(re.findall(r"\d+", line)[0]) for line in said]
    assert counts == sorted(counts)
    assert "\x1b" not in finished.output
