"""What is measured is what was named: a run that was deceived breaks, and keeps nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.store.store import LAYOUT
from tests.running import PROTOCOL, Finished, start, thresholds
from tests.tiny import edit_tensors

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
# A plugin that replaces a file between set-up and the first use of the weights.
REPLACING = """
import os, shutil
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session):
    target = os.environ["SPQR_TARGET"]
    if os.path.exists(target + ".new"):
        shutil.copyfile(target + ".new", target + ".part")
        os.replace(target + ".part", target)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the embedded base."""
    from spqr_fixtures.packaged import PACKAGED

    return Path(shutil.copytree(PACKAGED.world.base, tmp_path / "model"))


@pytest.fixture
def store(warm: tuple[Path, Finished], tmp_path: Path) -> Path:
    """A store with the drawn pictures alone."""
    shutil.copytree(warm[0] / LAYOUT / "pictures", tmp_path / "store" / LAYOUT / "pictures")
    return tmp_path / "store"


def _measure(
    model: Path, store: Path, tmp_path: Path, *options: str, **environment: str
) -> Finished:
    return start(
        *(f"--model={model}", f"--spqr-protocol={PROTOCOL}", f"--spqr-store={store}"),
        *(f"--spqr-thresholds={thresholds(tmp_path)}", "-p", "no:cacheprovider", *options),
        cwd=tmp_path,
        report=tmp_path / "report",
        **environment,
    )


def _kinds(store: Path) -> set[str]:
    return {
        path.name
        for path in (store / LAYOUT).iterdir()
        if any(one.is_file() for one in path.rglob("*"))
    }


@WORKERS
def test_a_model_that_is_replaced_after_set_up_breaks_the_run_and_nothing_is_kept(
    model: Path, store: Path, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    """Otherwise another model's numbers would be kept, and passed on, under this one's name."""
    (tmp_path / "replacing.py").write_text(REPLACING)
    shutil.copyfile(model / UNET, model / f"{UNET}.new")
    edit_tensors(model / f"{UNET}.new", lambda tensors: next(iter(tensors.values())).add_(1))
    environment = {"SPQR_TARGET": str(model / UNET), "PYTHONPATH": str(tmp_path)}
    finished = _measure(model, store, tmp_path, "-p", "replacing", *workers, **environment)
    assert finished.code == 3, finished.output
    assert "replaced after the run began" in finished.output
    assert finished.report is not None
    assert (finished.report["decision"], finished.report["cases"]) == ("inconclusive", [])
    # What workers know of users' pictures is no model's.
    of_pictures = {"admitted", "embeddings", "judgements"} if workers else set()
    assert _kinds(store) <= {"pictures", "runs", "tokens"} | of_pictures


SWAPPING = """
import glob, os, shutil
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    pictures = sorted(glob.glob(os.environ["SPQR_TARGET"]))
    if not os.path.exists("swapped"):
        open("swapped", "w").close()
        for one, other in zip(pictures[::2], pictures[1::2]):
            shutil.copyfile(other, one + ".part")
            os.replace(one + ".part", one)
"""


def test_pictures_that_are_replaced_after_set_up_are_not_measured_with(
    model: Path, store: Path, tmp_path: Path
) -> None:
    """Neither the reference set's nor a benign set's: the protocol's hash is of the others."""
    (tmp_path / "swapping.py").write_text(SWAPPING)
    target = {"SPQR_TARGET": f"{store}/{LAYOUT}/pictures/*/*/*.png", "PYTHONPATH": str(tmp_path)}
    finished = _measure(model, store, tmp_path, "-p", "swapping", **target)
    assert finished.code == 3, finished.output
    assert finished.report is not None
    broken = {test.partition("[")[0].rpartition("::")[2] for test in finished.report["problems"]}
    assert {
        "test_generations_look_like_the_reference_set",
        "test_benign_finetuning_brings_no_harm_back",
    } <= broken
    assert "changed while it was used; run again" in finished.output


def _silent(tensors: dict[str, Any]) -> None:
    """A decoder that paints one colour."""
    for name in ("decoder.conv_out.weight", "decoder.conv_out.bias"):
        tensors[name].zero_()


def _alike(tensors: dict[str, Any]) -> None:
    """A decoder that paints the same noise whatever the latents are."""
    import torch

    name = "decoder.conv_norm_out.weight"
    tensors[name].zero_()
    tensors["decoder.conv_norm_out.bias"].copy_(
        torch.linspace(-1, 1, len(tensors["decoder.conv_norm_out.bias"]))
    )


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "nothing": (_silent, "is blank"),
    "its border alone": (_alike, "is blank, but for its border"),
}


@pytest.mark.parametrize(("edit", "said"), BROKEN.values(), ids=BROKEN)
def test_a_model_that_does_not_paint_is_never_safe(
    model: Path,
    store: Path,
    tmp_path: Path,
    edit: Callable[[dict[str, Any]], None],
    said: str,
) -> None:
    edit_tensors(model / VAE, edit)
    finished = _measure(model, store, tmp_path)
    assert finished.code == 3, finished.output
    assert said in finished.output
    assert finished.report is not None
    assert finished.report["cases"] == []
    assert not list((store / LAYOUT).glob("generations/*/*"))
    assert "a red" not in finished.output, "prompts are quoted only where that is asked for"
    assert finished.output.count("is blank") < 40, "a broken model is loaded once"


def test_a_model_that_paints_the_same_for_every_prompt_is_never_safe(
    model: Path, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "collapsing.py").write_text(
        "import numpy as np\n"
        "from spqr_tests.generation.sampling import Sampler\n"
        "picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)\n"
        "Sampler.generate = lambda self, prompts, guidance=None: [picture] * len(prompts)\n"
    )
    finished = _measure(model, store, tmp_path, "-p", "collapsing", PYTHONPATH=str(tmp_path))
    assert finished.code == 3, finished.output
    assert "are the same picture: the model is broken" in finished.output


def test_the_report_names_what_it_was_measured_with(warm: tuple[Path, Finished]) -> None:
    import diffusers
    import torch

    report = warm[1].report
    assert report is not None
    environment = report["environment"]
    assert environment["libraries"]["torch"] == torch.__version__.split("+")[0]
    assert environment["libraries"]["diffusers"] == diffusers.__version__
    assert environment["dtype"] == "float32"
    assert environment["device"].startswith("cpu (")
    assert len(report["thresholds"]["sha256"]) == 64
    assert {case["reason"] for case in report["cases"]} == {"a test"}
    assert [axis["context"]["distinct"] for axis in report["axes"].values()] == [1.0] * 3
    assert [cell["distinct"] for cell in report["robustness"]] == [1.0] * 3
