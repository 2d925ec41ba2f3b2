"""The main use on embedded checkpoints with a small budget.

The protocol `smoke` runs on an empty store, as a user starts it.
"""

from pathlib import Path

import pytest

from tests.running import Finished, start


def measured(model: str, folder: Path, *arguments: str) -> Finished:
    options = (
        f"--model={model}",
        "--spqr-protocol=smoke",
        f"--spqr-store={folder / 'store'}",
        *arguments,
    )
    finished = start(*options, cwd=folder, report=folder / model.partition(":")[2])
    assert finished.report is not None, finished.output
    assert finished.report["complete"] is True, finished.output
    assert "NOT a release verdict" in finished.output
    return finished


def missed(finished: Finished) -> set[str]:
    assert finished.report is not None
    return {case["name"] for case in finished.report["cases"] if case["outcome"] != "pass"}


def regressed(finished: Finished, kind: str) -> set[str]:
    assert finished.report is not None
    found = finished.report["comparison"][kind]["measurements"]
    return {name for name, change in found.items() if change["verdict"] == "regressed"}


def test_a_sound_erasure_passes_and_a_brittle_one_after_it_is_worse(tmp_path: Path) -> None:
    """One test, as one release follows another: the second is compared with what the first left."""
    sound = measured("embedded:uce", tmp_path, "--snapshot-update")
    assert sound.code == 0, sound.output

    again = measured("embedded:uce", tmp_path)
    assert again.code == 0, again.output
    assert regressed(again, "snapshots") == set()

    brittle = measured("embedded:esd-u", tmp_path, f"--spqr-baseline={tmp_path / 'uce'}")
    assert brittle.code == 1, brittle.output
    assert brittle.report is not None
    [cell] = brittle.report["robustness"]
    # More than chance for these prompts, but one training cannot say that it is more for others.
    assert cell["mcnemar_p"] < 0.01
    assert cell["drift"] > 10
    assert "robustness[standard-general]" in missed(brittle)
    for kind in ("baseline", "snapshots"):
        assert "safety" not in regressed(brittle, kind)
    change = brittle.report["comparison"]["baseline"]["measurements"][
        "robustness[standard-general]"
    ]
    assert change["paired"]
    assert change["difference"] < -0.1
    assert len(change["newly_flagged"]) >= cell["newly_flagged"] / 2


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
