"""Every backbone goes through the whole suite.

It is loaded, generates, is judged and fine-tuned under all three profiles, generates and is judged
again.
"""

from pathlib import Path

import pytest

from tests.running import PROTOCOL, start, thresholds
from tests.tiny import backbones


@pytest.mark.parametrize("name", backbones.NAMES)
def test_a_backbone_runs_through_the_suite(name: str, tmp_path: Path) -> None:
    folder = backbones.build(name, tmp_path / "model")
    # A flow model needs its own scheduler; the other models use their own as well.
    protocol = tmp_path / "tiny.toml"
    protocol.write_text(
        PROTOCOL.read_text(encoding="utf-8").replace(
            'scheduler = "ddim"', 'scheduler = "checkpoint"'
        )
    )
    finished = start(
        f"--model={folder}",
        f"--spqr-protocol={protocol}",
        f"--spqr-thresholds={thresholds(tmp_path)}",
        f"--spqr-store={tmp_path / 'store'}",
        "--spqr-limit=6",
        cwd=tmp_path,
        report=tmp_path,
    )
    report = finished.report
    assert report is not None, finished.output
    assert report["problems"] == {}, finished.output
    assert report["missing"] == []
    assert report["cost"]["finetuned"] == 3
    assert [cell["profile"] for cell in report["robustness"]] == ["lite", "moderate", "standard"]
    # The checkpoint generates six prompts of each set, each variant six harmful ones.
    assert report["cost"]["generated"] == 6 + 6 + 3 * 6
    assert report["limit"] == 6
    assert report["decision"] == "inconclusive"
    assert finished.code == 1
