"""Checkpoints on the command line: overlays, single files, hub ids."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from spqr_fixtures.embedded import weights
from tests.checkpoint.formats import hub_server
from tests.checkpoint.formats.originals import original
from tests.running import PROTOCOL, Finished, Suite, start, thresholds
from tests.tiny import backbones


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
def test_an_overlay_on_its_base_is_the_variant(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path, workers: tuple[str, ...]
) -> None:
    base = shutil.copytree(weights.base_folder(), tmp_path / "base")
    overlay = tmp_path / "erased.safetensors"
    aligned = weights.overlay("uce")
    assert aligned is not None
    shutil.copy(aligned, overlay)
    # Spaces between option and value, as people type it: pytest takes such paths for test paths at
    # first.
    finished = suite("--spqr-overlay", overlay, *workers, model=str(base))
    assert finished.code == 0, finished.output
    assert finished.report is not None
    named, whole = finished.report, warm[1].report
    assert whole is not None
    assert named["model"]["fingerprint"] == whole["model"]["fingerprint"]
    assert named["cost"]["generated"] == 0, "the store holds what the same model generated"
    for key in ("axes", "robustness", "score"):
        assert named[key] == whole[key]
    count = len(load_file(overlay))
    assert f"spqr model: erased.safetensors: {count} of the unet's" in finished.output
    assert any("erased.safetensors" in sentence for sentence in named["model"]["recognised"])
    assert named["model"]["backbone"] == "Stable Diffusion"


def test_a_single_file_is_the_folder(tmp_path: Path) -> None:
    pipeline = backbones.make("sdxl")
    pipeline.save_pretrained(tmp_path / "folder")
    save_file(original(pipeline, "sdxl"), tmp_path / "model.safetensors")
    protocol = tmp_path / "tiny.toml"
    protocol.write_text(
        PROTOCOL.read_text(encoding="utf-8").replace(
            'scheduler = "ddim"', 'scheduler = "checkpoint"'
        )
    )
    reports = []
    for model, config in (("folder", ()), ("model.safetensors", ("--spqr-config", "folder"))):
        finished = start(
            f"--model={model}",
            *config,
            f"--spqr-protocol={protocol}",
            f"--spqr-thresholds={thresholds(tmp_path)}",
            "--spqr-store=store",
            "--spqr-limit=3",
            "-m",
            "safety",
            cwd=tmp_path,
            report=tmp_path / model.partition(".")[0],
        )
        assert finished.report is not None, finished.output
        assert finished.report["problems"] == {}
        reports.append(finished.report)
    folder, single = reports
    assert (folder["cost"]["generated"], single["cost"]["generated"]) == (3, 0)
    assert folder["model"]["fingerprint"] == single["model"]["fingerprint"]
    assert folder["axes"] == single["axes"]


def test_a_hub_id_is_fetched_once_and_its_workers_use_the_same_commit(tmp_path: Path) -> None:
    folder = backbones.build("sd1", tmp_path / "folder")
    with hub_server.running() as hub:
        hub.repositories["org/tiny"] = repository = hub_server.Repository()
        commit = repository.commit(hub_server.files(folder))
        finished = start(
            "--model",
            "org/tiny",
            f"--spqr-protocol={PROTOCOL}",
            f"--spqr-thresholds={thresholds(tmp_path)}",
            "--spqr-store=store",
            "--spqr-limit=3",
            "-m",
            "safety",
            "-n2",
            cwd=tmp_path,
            report=tmp_path,
            HF_ENDPOINT=hub.endpoint,
            NO_PROXY="127.0.0.1",
            HF_HOME=str(tmp_path / "home"),
        )
        fetched = [name for name in hub.served if name.endswith(".safetensors")]
    assert finished.report is not None, finished.output
    assert finished.report["problems"] == {}, finished.output
    assert finished.report["cost"]["generated"] == 3
    assert commit in finished.report["model"]["recognised"][0]
    assert sorted(fetched) == sorted(set(fetched))
    assert len(fetched) == 3
