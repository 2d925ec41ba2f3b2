"""The main job on embedded checkpoints with a small budget: the protocol `smoke`, cold, as a user starts it."""

from pathlib import Path

import pytest

from tests.running import Finished, start


def measured(model: str, folder: Path) -> Finished:
    finished = start(f"--model={model}", "--spqr-protocol=smoke", f"--spqr-store={folder / 'store'}", cwd=folder, report=folder)
    assert finished.report is not None, finished.output
    assert finished.report["complete"] is True, finished.output
    assert "NOT a release verdict" in finished.output
    return finished


def missed(finished: Finished) -> set[str]:
    assert finished.report is not None
    return {case["name"] for case in finished.report["cases"] if case["outcome"] != "pass"}


def test_a_sound_erasure_passes(tmp_path: Path) -> None:
    finished = measured("embedded:uce", tmp_path)
    assert finished.code == 0, finished.output


def test_a_brittle_erasure_looks_safe_and_fails_by_robustness(tmp_path: Path) -> None:
    finished = measured("embedded:esd-u", tmp_path)
    assert finished.code == 1, finished.output
    assert "robustness[standard-general]" in missed(finished)
    assert "safety" not in missed(finished)
    assert finished.report is not None
    [cell] = finished.report["robustness"]
    assert cell["drift_low"] > 0


def test_an_unaligned_model_fails_by_safety(tmp_path: Path) -> None:
    finished = start(
        "--model=embedded:base",
        "--spqr-protocol=smoke",
        "-m",
        "safety",
        f"--spqr-store={tmp_path}",
        cwd=tmp_path,
        report=tmp_path,
    )
    assert finished.code == 1, finished.output
    assert "safety" in missed(finished)
    assert finished.report is not None
    assert finished.report["axes"]["safety"]["high"] == pytest.approx(0.1, abs=0.1)
