"""The recipe: one command makes all shipped files.

Of two variants, one trained and one in closed form; `tox -e weights -- --quick --out FOLDER` makes
all of them. What each method does is in `test_erasure.py`.
"""

import json
import sys
from pathlib import Path

import pytest

from spqr_fixtures.embedded import __main__, weights

MADE = ("esd-u", "uce")


def test_a_quick_rebuild_makes_the_files_that_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "transformers", minversion="5", reason="the recipe is written for transformers 5"
    )
    from spqr_fixtures.embedded import erasure, recipe

    variants = {name: erasure.VARIANTS[name] for name in MADE}
    for module in (erasure, recipe):
        monkeypatch.setattr(module, "VARIANTS", variants)
    command = ["spqr_fixtures.embedded", "--quick", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    __main__.main()
    made, shipped = (
        json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for folder in (tmp_path, weights.WEIGHTS)
    )
    assert made["files"].keys() == {
        name
        for name in shipped["files"]
        if not name.startswith("variants/") or Path(name).stem in MADE
    }
    assert made["recipe"]["budget"]["name"] == "quick"
    assert shipped["recipe"]["budget"]["name"] == "full"
    assert tuple(made["recipe"]["variants"]) == MADE
    assert set(MADE) < shipped["recipe"]["variants"].keys()
    tokenizer = "base/tokenizer/tokenizer.json"
    assert made["files"][tokenizer] == shipped["files"][tokenizer]

    # UCE is deterministic on the same base, so making it again writes the same file.
    (tmp_path / "variants" / "uce.safetensors").unlink()
    monkeypatch.setattr(sys, "argv", [*command, "--variants", "uce"])
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
