"""The command that takes models of real sizes through the suite's own code.

    python -m benchmarks.sizes

writes docs/memory.json, what was measured, and docs/memory.md, the page of it. Each model is
written as a folder with random weights, loaded, planned, and generates one micro-batch and trains
one step, each in a process of its own. It needs about 20 GB of memory and 8 GB of disk.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks import numbers
from benchmarks.sizes import architectures
from benchmarks.sizes.page import SCHEMA, Row, Sizes, page
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import finetuning
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.planning.probe import examples
from spqr_tests.run import sources
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store.computing import computing

NAME = "memory"
_SIDE, _BATCH, _STEPS = 256, 2, 2
MODELS: dict[str, tuple[str, dict[str, dict[str, int]]]] = {
    "Stable Diffusion 1.5": ("sd1", {}),
    "Stable Diffusion XL": ("sdxl", {}),
    # All of it, 34 GB, is more than this machine has.
    "FLUX.1, of its width and a fifth of its depth": (
        "flux-dev",
        {
            "transformer": {"num_layers": 4, "num_single_layers": 8},
            "text_encoder_2": {"num_layers": 5},
        },
    ),
}
PROFILES = {
    "lite": ProfileSettings(trains="lora", steps=1),
    "moderate": ProfileSettings(trains="cross-attention", steps=1),
}
OPTIMIZER = OptimizerSettings(batch=_BATCH, mixed_precision="bf16")


def settings() -> SamplerSettings:
    """Of a small picture, in 16 bits."""
    return SamplerSettings(
        height=_SIDE, width=_SIDE, steps=_STEPS, micro_batch=_BATCH, dtype="bfloat16", guidance=5.0
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[*MODELS], default=[*MODELS])
    parser.add_argument("--out", type=Path, default=numbers.DOCS)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        name, stage, folder = asked.part
        print(json.dumps(asdict(_part(name, stage, Path(folder)))))  # noqa: T201  read by the parent
        return
    rows = []
    for name in asked.only:
        with tempfile.TemporaryDirectory() as folder:
            for stage in ("write", "load", "generating", *PROFILES):
                command = [sys.executable, "-m", "benchmarks.sizes", "--part", name, stage, folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
                if stage != "write":
                    rows.append(Row(**json.loads(done.stdout.splitlines()[-1])))
                    print(rows[-1], flush=True)  # noqa: T201  a command
    before = asked.out / f"{NAME}.json"
    if before.is_file():
        rows += [one for one in numbers.read(Sizes, before).rows if one.model not in asked.only]
        rows.sort(key=lambda one: [*MODELS].index(one.model))
    numbers.publish(Sizes(schema_=SCHEMA, rows=tuple(rows)), asked.out, NAME, page)


def _part(name: str, stage: str, folder: Path) -> Row:
    preset, changed = MODELS[name]
    parts = architectures.published(preset, changed)
    if stage == "write":
        architectures.write(parts, folder, "bfloat16")
        return Row(name, stage, 0, 0, 0.0)
    began = time.monotonic()
    checkpoint = sources.checkpoint(PACKAGED, str(folder), Path.cwd())
    flops = Flops(checkpoint.parts, settings())
    memory = Memory(checkpoint.parts, settings(), flops)
    if stage == "load":
        with _peak() as seen:
            checkpoint.pipeline("cpu", "bfloat16")
        predicted = memory.weights
    elif stage == "generating":
        predicted = memory.generation()
        pipeline = checkpoint.pipeline("cpu", "bfloat16")
        sampler = Sampler(pipeline, checkpoint.backbone, settings())
        with _peak(memory.weights) as seen, computing("cpu"):
            sampler.generate([Prompt("a red circle", seed) for seed in range(_BATCH)])
    else:
        predicted = memory.training(PROFILES[stage], OPTIMIZER)
        pipeline = checkpoint.pipeline("cpu", "bfloat16")
        with computing("cpu"):
            given = examples(pipeline, checkpoint.backbone, settings(), _BATCH)
            with _peak(memory.weights) as seen:
                finetuning.finetune(
                    pipeline,
                    checkpoint.backbone,
                    given,
                    PROFILES[stage],
                    OPTIMIZER,
                    (_SIDE, _SIDE),
                    lambda *_: None,
                )
    return Row(name, stage, predicted, seen[0], round(time.monotonic() - began, 1))


@contextmanager
def _peak(held: int = 0) -> Iterator[list[int]]:
    """The most memory that a block has at once besides what there was, plus `held`, in bytes.

    Anonymous memory alone: pages of files that were read are the system's to give back.
    """
    found, done, before = [0], threading.Event(), _anonymous()

    def watch() -> None:
        while not done.wait(0.01):
            found[0] = max(found[0], _anonymous() - before + held)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
