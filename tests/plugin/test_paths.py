"""Paths in options and protocols: `~` is the home folder, wherever a path is given."""

import shutil
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from tests.running import PROTOCOL, start, start_here, thresholds


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a model, a protocol, thresholds and a reference report."""
    folder = tmp_path / "home"
    (folder / "sets").mkdir(parents=True)
    shutil.copytree(weights.base_folder(), folder / "base")
    for name in ("uce", "esd-u"):
        overlay = weights.overlay(name)
        assert overlay is not None
        shutil.copy(overlay, folder / f"{name}.safetensors")
    text = PROTOCOL.read_text(encoding="utf-8")
    text = text.replace('"embedded-harmful.jsonl"', '"data:mine"').replace(
        "[scenarios.general]", '[data.mine]\nexpects = "a file"\nsource = "us"\n[scenarios.general]'
    )
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    shutil.copy(thresholds(tmp_path), folder / "thresholds.toml")
    rows = '{"prompt": "a skull %d", "seed": %d, "category": "unsafe"}\n'
    (folder / "sets" / "harmful.jsonl").write_text("".join(rows % (i, i) for i in range(9)))
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_every_option_knows_the_home_folder(home: Path, tmp_path: Path) -> None:
    finished = start_here(
        "--model=~/base",
        "--spqr-overlay=~/uce.safetensors",
        "--spqr-adapter=mine=~/esd-u.safetensors",
        "--spqr-protocol=~/mine.toml",
        "--spqr-thresholds=~/thresholds.toml",
        "--spqr-data=mine=~/sets/harmful.jsonl",
        "--spqr-store=~/store",
        "--spqr-snapshots=~/snapshots",
        "--snapshot-update",
        "--collect-only",
        cwd=tmp_path,
        report=Path("~/out"),
    )
    assert finished.code == 0, finished.output
    for path in ("thresholds.toml", "store"):
        assert str(home / path) in finished.output
    assert (home / "out").is_dir()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--model",
        "--spqr-overlay",
        "--spqr-protocol",
        "--spqr-thresholds",
        "--spqr-baseline",
        "--spqr-snapshots",
        "--spqr-report",
        "--spqr-store",
        "--spqr-config",
    ],
)
def test_a_home_that_nobody_has_is_a_sentence(option: str, tmp_path: Path) -> None:
    value = "~nobodyhere/x.toml"
    given = [f"{option}={value}"]
    if option != "--model":
        given.append("--model=embedded:base")
    if option != "--spqr-store":
        given.append(f"--spqr-store={tmp_path / 'store'}")
    report = Path(value) if option == "--spqr-report" else tmp_path
    finished = start_here(*given, "--collect-only", cwd=tmp_path, report=report)
    assert finished.code == 4
    assert f"ERROR: {option}={value} begins with ~, and this machine knows no such" in (
        finished.output
    )
    assert "INTERNALERROR" not in finished.output
    assert not list(tmp_path.glob("~*"))


def test_a_user_without_a_home_is_told_what_to_give(tmp_path: Path) -> None:
    """As in a container that runs under a number that /etc/passwd lacks."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pwd\n"
        "os.environ.pop('HOME', None)\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
    )
    arguments = ("--model=embedded:base", "--collect-only")
    finished = start(*arguments, cwd=tmp_path, forked=False, PYTHONPATH=str(tmp_path))
    assert finished.code == 4, finished.output
    assert "--spqr-store" in finished.output
    assert "INTERNALERROR" not in finished.output
    store = f"--spqr-store={tmp_path}"
    given = start(*arguments, store, cwd=tmp_path, forked=False, PYTHONPATH=str(tmp_path))
    assert given.code == 0, given.output
