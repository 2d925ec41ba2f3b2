"""The suite's own backbones pass the cases that authors of others are offered."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spqr_tests.testing.backbone_cases import BackboneCases, Subject
from tests.testing.facts import SUBJECTS
from tests.tiny.backbones import NAMES


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return SUBJECTS[request.param]()


class TestBackbones(BackboneCases):
    pass


def test_every_tiny_backbone_is_a_subject() -> None:
    assert tuple(SUBJECTS) == NAMES


MINE = """\
import pytest

from spqr_tests.testing.backbone_cases import BackboneCases, Subject


@pytest.fixture(scope="module", params=["small", "large"])
def subject():
    return Subject(None, None)


class TestMine(BackboneCases):
    pass


def test_nothing_heavy_is_loaded():
    import sys

    assert {"torch", "diffusers", "transformers"}.isdisjoint(sys.modules)
"""


def test_cases_are_collected_without_torch(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MINE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-v"]
    done = subprocess.run(
        [*command, "-k", "heavy", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = re.search(r"1 passed, (\d+) deselected", done.stdout)
    assert found is not None, done.stdout
    cases = [name for name in dir(BackboneCases) if name.startswith("test_")]
    assert int(found[1]) > 2 * len(cases) > 20
