"""`--model`: what happens without it, and with any place of pytest and of the checkpoint."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.store.store import LAYOUT
from tests.running import PROTOCOL, Finished, Suite, start, thresholds
from tests.seconds import PATIENCE

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [(), ("spqr_tests",), ("spqr_tests/test_safety.py",), ("--pyargs", "spqr_tests"), ("-n2",)],
)
def test_without_a_model_the_cases_are_a_usage_error(arguments: tuple[str, ...]) -> None:
    finished = start(*arguments, cwd=CHECKOUT)
    assert finished.code == 4
    assert "Pass the checkpoint under test: --model" in finished.output
    assert "Traceback" not in finished.output


def test_a_project_that_uses_no_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    finished = start(cwd=tmp_path)
    assert finished.code == 0
    assert "spqr model" not in finished.output


def test_collecting_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, pytest; code = pytest.main(sys.argv[1:]); sys.exit(code or ' '.join({'torch',"
        " 'diffusers', 'open_clip', 'onnxruntime'} & set(sys.modules)) or 0)"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "--collect-only",
        "--model=embedded:uce",
        f"--spqr-store={tmp_path}",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_benign_finetuning_brings_no_harm_back[standard-general]" in done.stdout


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded base as a user's folder, inside a project with a pytest.ini of its own."""
    project = tmp_path_factory.mktemp("project")
    (project / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers -ra\npython_files = check_*.py\npython_functions ="
        " check_*\ntestpaths = .\nfilterwarnings = error\nxfail_strict = true\n"
    )
    (project / "check_theirs.py").write_text("def check_theirs(): assert False\n")
    (project / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef theirs(): return 1\n")
    folder = project / "models" / "mine"
    shutil.copytree(weights.base_folder(), folder)
    return folder


@pytest.fixture(scope="module")
def based(
    warm: tuple[Path, Finished], checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Finished]:
    """A store with the embedded base's evidence, from a run with the equals form."""
    folder = tmp_path_factory.mktemp("based")
    store = folder / "store"
    shutil.copytree(warm[0] / LAYOUT / "pictures", store / LAYOUT / "pictures")
    given = f"--spqr-thresholds={thresholds(folder)}"
    finished = start(
        f"--model={checkpoint}",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-store={store}",
        given,
        cwd=folder,
        report=folder,
    )
    assert finished.code == 0, finished.output
    return store, finished


def test_the_checkout_needs_what_is_installed_with_the_suite_alone(
    checkpoint: Path, tmp_path: Path
) -> None:
    """pytest reads tests/conftest.py when it takes the model's path for a test path."""
    absent = tmp_path / "absent"
    absent.mkdir()
    for module in ("hypothesis", "skimage"):
        (absent / f"{module}.py").write_text("raise ModuleNotFoundError(__name__)")
    arguments = ("--model", checkpoint, "--spqr-protocol", PROTOCOL, "--collect-only")
    store = ("--spqr-store", tmp_path / "store", "--spqr-thresholds", thresholds(tmp_path))
    environment = {"PYTHONPATH": str(absent), "PYTEST_ADDOPTS": "-p no:hypothesispytest"}
    finished = start(*arguments, *store, cwd=CHECKOUT, **environment)
    assert finished.code == 0, finished.output
    assert "test_the_four_axes_hold_together[standard-general]" in finished.output


@pytest.mark.parametrize(
    ("where", "workers"),
    [("checkout", ()), ("unrelated", ()), ("project", ()), ("models", ()), ("project", ("-n2",))],
    ids=["checkout", "unrelated", "project", "models", "project-n2"],
)
def test_the_space_form_works_from_anywhere(
    where: str,
    workers: tuple[str, ...],
    checkpoint: Path,
    based: tuple[Path, Finished],
    tmp_path: Path,
) -> None:
    cwd = {
        "checkout": CHECKOUT,
        "unrelated": tmp_path,
        "project": checkpoint.parents[1],
        "models": checkpoint.parent,
    }[where]
    target = checkpoint.relative_to(cwd) if cwd in checkpoint.parents else checkpoint
    before = set(checkpoint.iterdir())
    finished = start(
        "--model",
        target,
        "--spqr-protocol",
        PROTOCOL,
        "--spqr-store",
        based[0],
        "--spqr-thresholds",
        thresholds(tmp_path),
        *workers,
        cwd=cwd,
        report=tmp_path,
    )
    assert finished.code == 0, finished.output
    assert finished.report is not None
    assert based[1].report is not None
    assert finished.report["cost"]["generated"] == 0
    for key in ("axes", "robustness", "score", "decision", "complete"):
        assert finished.report[key] == based[1].report[key]
    # Neither the cache next to the weights nor test ids that start there.
    assert set(checkpoint.iterdir()) == before
    root = {"checkout": CHECKOUT, "unrelated": tmp_path}.get(where, checkpoint.parents[1])
    assert f"rootdir: {root}\n" in finished.output


def test_the_embedded_base_and_its_copy_are_one_model(suite: Suite, checkpoint: Path) -> None:
    named, copied = (
        suite("--collect-only", model=model).output for model in ("embedded:base", str(checkpoint))
    )
    fingerprints = {
        line.split("fingerprint ")[1]
        for text in (named, copied)
        for line in text.splitlines()
        if "fingerprint" in line
    }
    assert len(fingerprints) == 1


def test_another_plugin_may_own_the_model_option(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "def pytest_addoption(parser): parser.addoption('--model', dest='theirs')\n"
    )
    finished = start(
        "-p",
        "theirs",
        "--spqr-model=embedded:uce",
        "--collect-only",
        "-q",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert finished.code == 0, finished.output
    assert "test_safety.py" in finished.output


THEIR_MODEL = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--model", default="none")

@pytest.fixture
def theirs(pytestconfig):
    return pytestconfig.getoption("--model")
"""


@pytest.mark.parametrize("given", ["--model=gpt", "--model gpt"])
def test_a_project_may_own_the_model_option(tmp_path: Path, given: str) -> None:
    (tmp_path / "conftest.py").write_text(THEIR_MODEL)
    (tmp_path / "test_theirs.py").write_text("def test_theirs(theirs): assert theirs == 'gpt'\n")
    finished = start(*given.split(), cwd=tmp_path)
    assert finished.code == 0, finished.output
    assert "1 passed" in finished.output
    assert "spqr model" not in finished.output
    finished = start("--spqr-model=embedded:uce", "--collect-only", "-q", cwd=tmp_path)
    assert finished.code == 0, finished.output
    assert "test_safety.py" in finished.output


@pytest.mark.parametrize(
    ("means", "workers"),
    [("ini", ()), ("environment", ()), ("environment", ("-n2",))],
    ids=["ini", "environment", "environment-n2"],
)
def test_paths_in_addopts_are_not_what_is_measured(
    warm: tuple[Path, Finished], tmp_path: Path, means: str, workers: tuple[str, ...]
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "test_own.py").write_text("def test_own(): pass\n")
    if means == "ini":
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -v own\n")
    finished = start(
        "--model=embedded:uce",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-store={warm[0]}",
        f"--spqr-thresholds={thresholds(tmp_path)}",
        *workers,
        cwd=tmp_path,
        **({"PYTEST_ADDOPTS": "-v own"} if means == "environment" else {}),
    )
    assert finished.code == 0, finished.output
    assert "test_the_four_axes_hold_together" in finished.output
    assert "test_own" not in finished.output
    assert "spqr cases: own of addopts is not run with a model" in finished.output
