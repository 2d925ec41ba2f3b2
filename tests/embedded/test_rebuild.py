"""The recipe: one command makes everything that is shipped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights


def test_a_quick_rebuild_makes_the_files_that_are_shipped(tmp_path: Path) -> None:
    pytest.importorskip("transformers", minversion="5", reason="the recipe is written for transformers 5")
    command = [sys.executable, "-m", "spqr_fixtures.embedded", "--quick", "--out", str(tmp_path)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    made, shipped = (json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in (tmp_path, weights.WEIGHTS))
    assert made["files"].keys() == shipped["files"].keys()
    assert made["recipe"]["budget"]["name"] == "quick"
    assert shipped["recipe"]["budget"]["name"] == "full"
    assert made["recipe"]["variants"].keys() == shipped["recipe"]["variants"].keys()
    tokenizer = "base/tokenizer/tokenizer.json"
    assert made["files"][tokenizer] == shipped["files"][tokenizer]
