"""A package's judge that does something else than to answer breaks the run by name, and ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation.generations import Generation
from spqr_tests.judging import judges
from spqr_tests.judging.judges import Judge, Judgement, UnjudgedError
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.run import protocols
from spqr_tests.settings import protocol_file
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store.images import Pixels
from spqr_tests.store.store import Store
from tests.judging.judges.made import _judge
from tests.judging.judges.registering import TABLE, make, protocol
from tests.seconds import wait_until

IMAGES: list[Pixels] = [np.full((8, 8, 3), level, np.uint8) for level in (255, 0)]
WHERE = "The judge reds (redness, of red-judges 1.2)"
SLOW = TABLE.replace("least", "seconds_per_image = 0.5\nleast")


def does(installed: Path, source: str, table: str = TABLE) -> Judge:
    """The judge, with these lines at the beginning of `judge`."""
    write(installed, source)
    return make(protocol(installed, table))


def write(installed: Path, source: str, method: str = "judge(self, images)") -> None:
    path = installed / "red_judges.py"
    text, head = path.read_text(encoding="utf-8"), f"    def {method}:\n"
    assert head in text
    lines = "".join(f"        {line}\n" for line in source.splitlines())
    path.write_text(text.replace(head, head + lines, 1), encoding="utf-8")


def said(judge: Judge) -> str:
    with pytest.raises(EvidenceError) as broken:
        judge.judge(IMAGES)
    return str(broken.value)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for counts as ended."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


JUDGING = "; it was judging 2 images for red-judges 1.2"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os; os._exit(0)", "its process ended with exit code 0"),
        ("import os; os._exit(7)", "its process ended with exit code 7"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "its process was ended by signal 11 (SIGSEGV)",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "its process was ended by signal 9 (SIGKILL, as where memory ran out)",
        ),
        (
            "import os, sys\nfor n in range(9): print('line', n)\nsys.stdout.flush()\nos._exit(1)",
            (
                "its process ended with exit code 1; it last wrote: line 4 / line 5 / line 6 / line"
                " 7 / line 8"
            ),
        ),
        (
            "import os\nos.system('sleep 60 &')\nos._exit(0)",
            "its process ended with exit code 0",
        ),
        (
            "import os\nif os.fork():\n    os._exit(0)\nimport time; time.sleep(60)",
            "its process ended with exit code 0",
        ),
        (
            (
                "import os\nfor n in range(3, 30):\n    try: os.write(n, b'safe' * 99)\n"
                "    except OSError: pass\nimport time; time.sleep(60)"
            ),
            "its process answered with something else (no message begins like that)",
        ),
        (
            "import os, time\nos.closerange(3, 30)\ntime.sleep(60)",
            "its process closed the connection and went on",
        ),
    ],
    ids=["0", "7", "segfault", "killed", "written", "program", "fork", "garbage", "closed"],
)
def test_a_judge_that_does_not_answer_is_no_answer(
    installed: Path, source: str, expected: str
) -> None:
    assert said(does(installed, source)) == expected + JUDGING


def test_what_it_prints_is_no_answer(installed: Path) -> None:
    source = "import os\nprint('safe' * 99999)\nos.write(1, b'safe' * 99)\nos.system('echo safe')"
    flagged = [one.flagged for one in does(installed, source).judge(IMAGES)]
    assert flagged == [True, False]


def test_a_judge_that_hangs_is_ended_and_not_asked_again(installed: Path, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    judge = does(installed, f"open({str(told)!r}, 'a').write('.')\nwhile True: pass", SLOW)
    expected = (
        "its process gave no answer in 1 seconds (seconds_per_image = 0.5 in the judge's table"
        " says how many it has)" + JUDGING
    )
    assert [said(judge), said(judge)] == [expected, expected]
    assert told.read_text() == "."


def test_a_judge_that_is_not_set_up_in_time_is_refused(installed: Path) -> None:
    write(installed, "import time; time.sleep(60)", "__init__(self, setup)")
    table = TABLE.replace("least", "setup_seconds = 1.5\nleast")
    with pytest.raises(InputError) as refused:
        make(protocol(installed, table))
    assert str(refused.value) == (
        f"{WHERE} cannot be set up: its process gave no answer in 1.5 seconds (setup_seconds in the"
        " judge's table says how many it has)."
    )


def test_a_judge_that_exits_while_it_is_set_up_is_refused(installed: Path) -> None:
    write(installed, "import os; os.write(2, b'no key'); os._exit(3)", "__init__(self, setup)")
    with pytest.raises(InputError) as refused:
        make(protocol(installed))
    assert str(refused.value) == (
        f"{WHERE} cannot be set up: its process ended with exit code 3; it last wrote: no key."
    )


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is known on Linux")
def test_a_judge_that_takes_more_memory_than_its_table_allows_is_ended(installed: Path) -> None:
    table = TABLE.replace("least", "memory_gib = 0.5\nleast")
    source = "import time\nheld = bytearray(b'x') * (700 << 20)\ntime.sleep(60)"
    found = said(does(installed, source, table))
    assert found.startswith("its process held 0.")
    assert "GiB of memory, and memory_gib allows 0.5; it was judging" in found


def test_one_that_ended_is_started_again_for_the_second_try(
    installed: Path, tmp_path: Path, store: Store, generations: list[Generation]
) -> None:
    once = f"import os, pathlib\nmark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
    once += "if not mark.exists():\n    mark.touch()\n    os._exit(0)"
    flags = _judge(store, [does(installed, once)], generations)
    assert (flags.any.shape, (tmp_path / "mark").exists()) == ((8,), True)
    always = does(installed, "import os; os._exit(0)", TABLE.replace("0.9", "0.8"))
    with pytest.raises(EvidenceError) as broken:
        _judge(store, [always], generations)
    assert str(broken.value) == (
        "The judge reds cannot judge: its process ended with exit code 0; it was judging 7 images"
        " for red-judges 1.2"
    )


def test_one_that_describes_itself_otherwise_when_started_again_is_no_judge(
    installed: Path,
) -> None:
    judge = does(installed, "import os; os._exit(0)")
    said(judge)
    path = installed / "red_judges.py"
    # Of another size: Python may have kept bytecode of the same second.
    path.write_text(path.read_text().replace("redness 1,", "redness 22,"), encoding="utf-8")
    assert said(judge).startswith("it was started again, and then described itself otherwise")


@pytest.mark.parametrize(
    ("answer", "sound"),
    [
        ("[None for _ in images]", 0),
        ("[Judgement(image.max() > 0) for image in images]", 0),
        ("[Judgement(True, (('red', float('nan')),)), Judgement(False)]", 1),
        ("[Judgement(True)]", 1),
        ("[]", 0),
    ],
)
def test_an_answer_that_is_not_sound_is_counted_as_that(
    installed: Path, answer: str, sound: int
) -> None:
    found = does(installed, f"return {answer}").judge(IMAGES)
    assert sum(isinstance(one, Judgement) for one in found) == sound


def test_what_it_raises_is_said_with_its_type_and_place(
    installed: Path, store: Store, generations: list[Generation]
) -> None:
    judge = does(installed, "raise ZeroDivisionError('no answer')")
    with pytest.raises(EvidenceError) as broken:
        _judge(store, [judge], generations)
    assert str(broken.value) == (
        "The judge reds (red-judges 1.2, redness 1) raised ZeroDivisionError('no answer') twice;"
        " nothing it did not see counts as safe."
    )
    place = getattr(broken.value.__cause__, "place", "")
    assert place.startswith(f"{installed / 'red_judges.py'}:")
    assert place.endswith(", judge")


def test_an_exit_is_no_end_of_the_run(installed: Path) -> None:
    with pytest.raises(Exception, match=r"SystemExit\(0\)"):
        does(installed, "import sys; sys.exit(0)").judge(IMAGES)


def test_the_image_that_it_cannot_judge_is_named(installed: Path) -> None:
    source = "from spqr_tests.judging.judges import UnjudgedError\nraise UnjudgedError(%d, 'dark')"
    with pytest.raises(UnjudgedError, match="dark") as raised:
        does(installed, source % 1).judge(IMAGES)
    assert raised.value.position == 1


def test_the_run_says_where_files_are(installed: Path, tmp_path: Path) -> None:
    write(
        installed,
        "self.least = float(setup.locate('data:level').read_text())\nself.setup = setup\nreturn",
        "__init__(self, setup)",
    )
    (tmp_path / "level.txt").write_text("0.25", encoding="utf-8")

    def locate(named: str) -> Path:
        if named != "data:level":
            raise InputError(f"no {named} here.")
        return tmp_path / "level.txt"

    settings = protocol_file.read(protocol(installed)).judges["reds"]
    means = judges.Means(DualEncoders("cpu", str), "cpu", locate)
    assert judges.make("reds", settings, means).describe().settings == {"least": 0.25}
    path = installed / "red_judges.py"
    path.write_text(path.read_text().replace("data:level", "data:none"), encoding="utf-8")
    with pytest.raises(InputError, match="no data:none here"):
        judges.make("reds", settings, means)


def test_limits_change_no_fingerprint_and_no_hash(installed: Path, store: Store) -> None:
    limits = "seconds_per_image = 5\nsetup_seconds = 60.5\nmemory_gib = 8\nleast"
    plain, limited = (
        protocols.load(PACKAGED, str(protocol(installed, table)), store, "cpu", _as_it_is)
        for table in (TABLE, TABLE.replace("least", limits))
    )
    assert plain.judges[0].describe() == limited.judges[0].describe()
    assert plain.hash == limited.hash


def _as_it_is(settings: Protocol) -> Protocol:
    return settings


HOLDING = """\
import signal, sys, time
from pathlib import Path
import numpy as np
# A job in the background ignores it, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.judging.judges.registering import make
judge = make(Path(sys.argv[1]))
print("made", flush=True)
judge.judge([np.zeros((8, 8, 3), np.uint8)])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_the_run_however_that_ends(
    installed: Path, tmp_path: Path, how: signal.Signals
) -> None:
    told = tmp_path / "pids.json"
    write(
        installed,
        "import json, os, subprocess, time\n"
        "other = subprocess.Popen(['sleep', '60'])\n"
        f"with open({str(tmp_path / 'new')!r}, 'w') as file:\n"
        "    json.dump([os.getpid(), other.pid], file)\n"
        f"os.rename({str(tmp_path / 'new')!r}, {str(told)!r})\n"
        "time.sleep(60)",
    )
    path = os.pathsep.join([str(installed), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, protocol(installed)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_until(told.exists)
        process.send_signal(how)
        process.wait(30)
    assert all(gone(pid) for pid in json.loads(told.read_text()))
