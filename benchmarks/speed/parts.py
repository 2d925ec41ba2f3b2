"""What is timed, by name: each part takes under nine minutes on two cores."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks import suite
from benchmarks.speed import plain
from benchmarks.speed.ratio import Ratio, in_turns
from spqr_fixtures.embedded import weights
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning
from spqr_tests.generation.finetuning import Examples
from spqr_tests.generation.sampling import Sampler
from spqr_tests.judging.judges.nudenet import LABELS, NudeNetJudge
from spqr_tests.run import sources
from spqr_tests.settings import protocol_file
from spqr_tests.settings.judges import NudeNetSettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store.computing import computing

_TARGET, _PROTOCOL = "embedded:uce", "embedded"
_IMAGES, _PROMPTS = 64, 8
_STEPS, _REPEATS, _WARM = 5, 7, 3
_PICTURES, _SIDE = 48, 512
_WIDTH, _SET = 2048, 500


def sampling() -> Ratio:
    """Images of the embedded checkpoint, in micro-batches and one prompt after the other."""
    protocol, (checkpoint, pipe), theirs = _protocol(), _ours(), plain.pipeline()
    sampler = Sampler(pipe, checkpoint.backbone, protocol.sampler)
    size = protocol.sampler.micro_batch
    prompts = [Prompt(f"a red circle and {number}", number) for number in range(_IMAGES)]

    def ours() -> None:
        with computing("cpu"):
            for start in range(0, _IMAGES, size):
                sampler.generate(prompts[start : start + size])

    texts = [prompt.text for prompt in prompts[:_PROMPTS]]
    found = in_turns(ours, lambda: plain.sample(theirs, protocol.sampler.numbers, texts), _REPEATS)
    return Ratio.of(
        found[0] / _IMAGES,
        found[1] / _PROMPTS,
        "seconds an image",
        _PROMPTS,
        "micro-batches of the protocol against diffusers' pipeline, one prompt at a time",
    )


def training(name: str) -> Ratio:
    """A step of a profile, on what was encoded before and with encoding in the step."""
    import torch

    protocol, (checkpoint, pipe), theirs = _protocol(), _ours(), plain.pipeline()
    profile, numbers = protocol.profiles[name], protocol.sampler.numbers
    count = profile.optimizer_of(protocol.finetuning).batch
    with computing("cpu"), torch.inference_mode():
        pixels = torch.rand(count, 3, numbers.height, numbers.width) * 2 - 1
        mean, std = checkpoint.backbone.encode(pipe, pixels)
        captions = [f"a red circle and {number}" for number in range(count)]
        text = checkpoint.backbone.embed(pipe, captions)
    examples = Examples(
        Path("speed"),
        mean.clone(),
        std.clone(),
        {key: tensor.clone() for key, tensor in text.items()},
        torch.arange(count),
        tuple(captions),
    )

    def ours() -> float:
        ends: list[float] = []
        with computing("cpu"):
            finetuning.finetune(
                pipe,
                checkpoint.backbone,
                examples,
                profile.model_copy(update={"steps": _STEPS + 1, "epochs": None}),
                protocol.finetuning,
                (numbers.height, numbers.width),
                lambda *_: ends.append(time.perf_counter()),
            )
        return float(np.diff(ends).min())

    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):
        found[0].append(ours())
        found[1].append(
            plain.train(
                theirs,
                profile,
                profile.optimizer_of(protocol.finetuning),
                (numbers.height, numbers.width),
                _STEPS,
            )
        )
    return Ratio.of(
        min(found[0]),
        min(found[1]),
        "seconds a step",
        _STEPS * _REPEATS,
        f"a step of {name} against the loop of diffusers' training scripts, which encode in it",
    )


def nudenet() -> Ratio:
    """Judgements of pictures, by the judge and by NudeNet's own `detect`; the flags are equal."""
    from nudenet import NudeDetector
    from PIL import Image

    from spqr_fixtures.embedded import datasets

    settings = NudeNetSettings(kind="nudenet", labels=tuple(sorted(LABELS)), threshold=0.2)
    judge, detector = NudeNetJudge("nudenet", settings, "cpu", Path), NudeDetector()
    with tempfile.TemporaryDirectory() as name:
        folder = datasets.write_benign(Path(name), "general", _PICTURES, seed=1)
        pictures = [
            np.asarray(Image.open(path).convert("RGB").resize((_SIDE, _SIDE)))
            for path in sorted(folder.rglob("*.png"))
        ]

    def theirs() -> list[Any]:
        return [detector.detect(np.ascontiguousarray(one[..., ::-1])) for one in pictures]

    flags = [judgement.flagged for judgement in judge.judge(pictures)]
    if flags != [any(one["score"] > settings.threshold for one in found) for found in theirs()]:
        raise EvidenceError("The judge's flags are not those of NudeNet's own detect.")
    found = in_turns(lambda: judge.judge(pictures), theirs, _REPEATS)
    return Ratio.of(
        found[0] / len(pictures),
        found[1] / len(pictures),
        "seconds an image",
        len(pictures),
        f"the judge against NudeDetector.detect on all cores, {_SIDE} pixels a side; equal flags",
    )


def fid() -> Ratio:
    """FID of 500 pictures with 2,048 features, and torchmetrics' own; they are equal to 1e-5."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    from spqr_tests.metrics import fid as own

    class Features(torch.nn.Module):
        """Gives back what it gets."""

        num_features = _WIDTH

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(_WIDTH, _WIDTH)) / _WIDTH**0.5
    real, fake = (
        (rng.normal(size=(_SET, _WIDTH)) @ mixing + shift).astype(np.float32) for shift in (0, 0.1)
    )
    values: dict[str, float] = {}

    def ours() -> None:
        values["ours"] = own.frechet_distance(real, fake)

    def theirs() -> None:
        metric = FrechetInceptionDistance(feature=Features()).set_dtype(torch.float64)
        metric.update(torch.from_numpy(real), real=True)
        metric.update(torch.from_numpy(fake), real=False)
        values["theirs"] = float(metric.compute())

    began = time.perf_counter()
    theirs()
    other = time.perf_counter() - began
    mine = min(_seconds(ours) for _ in range(_REPEATS))
    if abs(values["ours"] - values["theirs"]) > 1e-5 * abs(values["theirs"]):
        raise EvidenceError(f"FID is not torchmetrics': {values}.")
    return Ratio.of(
        mine,
        other,
        "seconds",
        _SET,
        f"FID of {_SET} pictures with {_WIDTH} features against torchmetrics'; equal to 1e-5",
    )


def warm() -> Ratio:
    """The embedded run by one process on an empty store, and the same again."""
    folder, cold = _alone()
    again = min(_run(folder, "again", workers=0) for _ in range(_WARM))
    return Ratio.of(
        again, cold, "seconds", 1, "the embedded run again against its first time, one process"
    )


def two_workers() -> Ratio:
    """The embedded run on an empty store, by two workers and by one process."""
    _, one = _alone()
    with tempfile.TemporaryDirectory() as name:
        two = _run(Path(name), "two", workers=2)
    return Ratio.of(
        two, one, "seconds", 1, "the embedded run by two workers against one process, both cold"
    )


@cache
def _alone() -> tuple[Path, float]:
    """A folder with the store that one process filled, and the seconds that it took."""
    folder = Path(tempfile.mkdtemp(prefix="spqr-speed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder, _run(folder, "alone", workers=0)


def collect_only() -> Ratio:
    """Collecting the cases, and collecting one empty test without a model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
        store = f"--spqr-store={folder / 'store'}"
        ours = partial(_pytest, folder, f"--model={_TARGET}", store)
        found = in_turns(ours, partial(_pytest, folder, "test_nothing.py"), _REPEATS)
    return Ratio.of(
        *found, "seconds", _REPEATS, "--collect-only with a model against an empty pytest"
    )


PARTS: Mapping[str, Callable[[], Ratio]] = MappingProxyType(
    {
        "sampling": sampling,
        "training_lite": partial(training, "lite"),
        "training_moderate": partial(training, "moderate"),
        "training_standard": partial(training, "standard"),
        "nudenet": nudenet,
        "fid": fid,
        "collect_only": collect_only,
        "warm": warm,
        "two_workers": two_workers,
    }
)


def _protocol() -> Protocol:
    return protocol_file.read(PACKAGED.protocols[_PROTOCOL], PACKAGED.protocols)


def _ours() -> tuple[Any, Any]:
    """The embedded base as the suite loads it, with its pipeline."""
    checkpoint = sources.checkpoint(PACKAGED, str(weights.base_folder()), Path.cwd())
    with computing("cpu"):
        return checkpoint, checkpoint.pipeline("cpu", "float32", checkpoint.fingerprint)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _run(folder: Path, name: str, *, workers: int) -> float:
    return _seconds(
        lambda: suite.measure(_TARGET, _PROTOCOL, folder / "store", folder / name, workers=workers)
    )


def _pytest(folder: Path, *arguments: str) -> None:
    environment = {
        key: value
        for key, value in os.environ.items()
        # Without compiled files, each start would compile the suite anew.
        if not key.startswith(("PYTEST_", "SPQR_")) and key != "PYTHONDONTWRITEBYTECODE"
    }
    # hypothesis belongs to the tests of this tree, and its import takes longer than pytest's.
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "--collect-only", "-q"]
    subprocess.run(  # noqa: S603  arguments of ours
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, check=True
    )
