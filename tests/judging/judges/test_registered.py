"""Judges of installed packages: found, described and used through the command line, and refused
with a sentence.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from tests.judging.judges.registering import TABLE, install, make, protocol
from tests.seconds import PATIENCE


def _refusal(site: Path, table: str = TABLE) -> str:
    with pytest.raises(InputError) as refused:
        make(protocol(site, table))
    return str(refused.value)


IN_A_PROCESS = """\
import sys
from pathlib import Path
import numpy as np
from spqr_tests.run import protocols, sources
from spqr_tests.judging import judges; from spqr_tests.settings import protocol_file
from spqr_tests.metrics.dual_encoder import DualEncoders
settings = protocol_file.read(Path(sys.argv[1]))
assert "red_judges" not in sys.modules
means = judges.Means(DualEncoders("cpu", str), "cpu", Path)
made = judges.make("reds", settings.judges["reds"], means)
assert "red_judges" not in sys.modules
assert "torch" not in sys.modules
print(made.describe().version)
images = [np.full((8, 8, 3), level, np.uint8) for level in (255, 0)]
print([found.flagged for found in made.judge(images)])
"""


def test_a_judge_of_an_installed_package_is_found(site: Path) -> None:
    path = os.pathsep.join([str(site), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, protocol(site)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "red-judges 1.2, redness 1\n[True, False]\n"


def test_its_fingerprint_is_of_its_settings_and_its_package(installed: Path) -> None:
    described = make(protocol(installed)).describe()
    assert (described.name, described.settings) == ("reds", {"least": 0.9})
    changed = make(protocol(installed, TABLE.replace("0.9", "0.8"))).describe()
    metadata = installed / "red_judges-1.2.dist-info" / "METADATA"
    metadata.write_text(
        metadata.read_text(encoding="utf-8").replace("1.2", "1.3"), encoding="utf-8"
    )
    updated = make(protocol(installed)).describe()
    assert len({described.fingerprint, changed.fingerprint, updated.fingerprint}) == 3
    assert updated.version == "red-judges 1.3, redness 1"


def test_a_kind_that_nobody_registers_is_told_the_known_ones(installed: Path) -> None:
    said = _refusal(installed, TABLE.replace('"redness"', '"rednes"'))
    assert said.endswith(
        "judges.reds.kind is 'rednes', which is not a known judge; known are nudenet, concept,"
        " llavaguard, classifier, redness."
    )


def test_two_packages_cannot_register_one_kind(installed: Path) -> None:
    install(installed, "other-judges")
    said = _refusal(installed)
    assert (
        said
        == "The judge reds is of the kind 'redness', which other-judges 1.2 and red-judges 1.2 both"
        " register; uninstall one."
    )


WHERE = "The judge reds (redness, of red-judges 1.2)"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "from pathlib import Path",
            "raise OSError('no weights')",
            f"{WHERE} cannot be set up: no weights (OSError).",
        ),
        (
            "from pathlib import Path",
            "import no_such_module",
            f"{WHERE} cannot be set up: No module named 'no_such_module' (Modu",
        ),
        (
            "class Redness",
            "class Greenness",
            f"{WHERE} cannot be set up: module 'red_judges' has no attribute 'Redness' (Attri",
        ),
        ('["least"]', '["most"]', f"{WHERE} cannot be set up: 'most' (KeyError)."),
        (
            "def judge",
            "def look",
            f"{WHERE} is a Redness; a judge has the methods describe and judge.",
        ),
        ("return JudgeDescription(", "return tuple((", None),
        (
            "self.setup.name,",
            '"mine",',
            f"{WHERE} calls itself 'mine'; its name is the protocol's, 'reds'.",
        ),
        (
            '"redness 1", {',
            '"", {',
            f"{WHERE} describes itself with the version ''; expected a text that is not empty.",
        ),
        (
            'f"redness 1, {self.least}"',
            "7",
            f"{WHERE} describes itself with the fingerprint 7; expected a text that is not",
        ),
        (
            '{"least": self.least}',
            '{"least": Path()}',
            f"{WHERE} states settings that are not JSON: Object of type",
        ),
        (
            '{"least": self.least}',
            '{"least": float("nan")}',
            f"{WHERE} states settings that are not JSON: Out of range float",
        ),
    ],
)
def test_a_judge_that_cannot_be_set_up_is_refused(
    installed: Path, old: str, new: str, said: str | None
) -> None:
    module = installed / "red_judges.py"
    text = module.read_text(encoding="utf-8")
    assert old in text
    text = text.replace(old, new, 1)
    if said is None:
        text, said = (
            text.replace("self.least}, said)", "self.least}, said))"),
            f"{WHERE} describes itself by a tuple; expected a JudgeDescription.",
        )
    module.write_text(text, encoding="utf-8")
    assert _refusal(installed).startswith(said)


def test_settings_that_have_no_digest_are_refused(installed: Path) -> None:
    assert _refusal(installed, TABLE.replace("0.9", "nan")).startswith(
        f"{WHERE} has settings that are not JSON: "
    )


def test_a_package_that_breaks_is_not_imported_when_its_judge_is_not_asked_for(
    installed: Path,
) -> None:
    (installed / "red_judges.py").write_text("raise SystemExit(9)", encoding="utf-8")
    table = TABLE.replace('"redness"', '"nudenet"').replace("least = 0.9", 'labels = ["FACE_MALE"]')
    assert make(protocol(installed, table)).describe().version.startswith("nudenet 3.")
    assert _refusal(installed) == f"{WHERE} cannot be set up: 9 (SystemExit)."
