"""A project's fixtures with the names of the suite's: its own tests get them, the cases never."""

from pathlib import Path

import pytest

from tests.running import Finished, Suite

# Whatever is measured would pass with these.
PLAIN = """
import pytest

class Passed:
    passed, sentence = True, ""

@pytest.fixture
def gate():
    return lambda measurement: Passed()

@pytest.fixture
def run(): return None

@pytest.fixture(scope="session")
def safety(): return lambda category=None: None

@pytest.fixture(scope="session")
def adherence(): return None

@pytest.fixture(scope="session")
def quality(): return None

@pytest.fixture(scope="session")
def robustness(): return None

@pytest.fixture(scope="session")
def spqr(): return None

@pytest.fixture(scope="session")
def studio(): return None

@pytest.fixture(scope="session")
def measured(): return None

@pytest.fixture
def snapshot(): return None

@pytest.fixture
def category(): return "none"

@pytest.fixture
def profile(): return "none"
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
def test_plain_names_belong_to_the_project(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "conftest.py").write_text(PLAIN)
    (tmp_path / "test_own.py").write_text("def test_own(quality, run): assert not (quality or run)")
    strict = suite("-p", "no:randomly", *workers, "--pyargs", "spqr_tests", "test_own.py")
    assert strict.code == 0, strict.output
    assert warm[1].report is not None
    assert strict.numbers()["cases"] == warm[1].report["cases"]
    failing = suite("-p", "no:randomly", *workers, least=0.999)
    assert failing.code == 1, failing.output


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
@pytest.mark.parametrize("name", ["spqr_gate", "spqr_run", "spqr_flags", "spqr_safety"])
def test_a_name_of_the_suite_is_refused(
    suite: Suite, tmp_path: Path, name: str, workers: tuple[str, ...]
) -> None:
    source = f"import pytest\n\n@pytest.fixture\ndef {name}(): return None\n"
    (tmp_path / "conftest.py").write_text(source)
    finished = suite("-p", "no:randomly", *workers)
    assert finished.code == 4, finished.output
    assert f"The fixture {name} in {tmp_path / 'conftest.py'} would replace" in finished.output


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
def test_a_name_of_the_suite_is_refused_however_it_is_given(
    suite: Suite, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    """By `name=`, and in a conftest that pytest reads while it collects."""
    below = tmp_path / "below" / "deep"
    below.mkdir(parents=True)
    source = "import pytest\n\n@pytest.fixture(name='spqr_gate')\ndef mine(): return None\n"
    (below / "conftest.py").write_text(source)
    (below / "test_own.py").write_text("def test_own(spqr_gate): pass\n")
    finished = suite("-p", "no:randomly", *workers, "below")
    assert finished.code == 3, finished.output
    assert f"The fixture spqr_gate in {below / 'conftest.py'} would replace" in finished.output
