"""The recipe: one command makes all shipped files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spqr_fixtures.embedded import __main__, weights


def test_a_quick_rebuild_makes_the_files_that_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "transformers", minversion="5", reason="the recipe is written for transformers 5"
    )
    command = [sys.executable, "-m", "spqr_fixtures.embedded", "--quick", "--out", str(tmp_path)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    made, shipped = (
        json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for folder in (tmp_path, weights.WEIGHTS)
    )
    assert made["files"].keys() == shipped["files"].keys()
    assert made["recipe"]["budget"]["name"] == "quick"
    assert shipped["recipe"]["budget"]["name"] == "full"
    assert made["recipe"]["variants"].keys() == shipped["recipe"]["variants"].keys()
    tokenizer = "base/tokenizer/tokenizer.json"
    assert made["files"][tokenizer] == shipped["files"][tokenizer]

    # UCE is deterministic on the same base, so making it again writes the same file.
    (tmp_path / "variants" / "uce.safetensors").unlink()
    monkeypatch.setattr(
        sys,
        "argv",
        ["spqr_fixtures.embedded", "--quick", "--variants", "uce", "--out", str(tmp_path)],
    )
    __main__.main()
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == made


def test_an_unknown_variant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["spqr_fixtures.embedded", "--variants", "sdxl", "uce", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit, match="2"):
        __main__.main()
    assert "--variants sdxl: unknown; choose from esd-x, " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
