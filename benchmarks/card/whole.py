"""A whole run on a card: the published protocol's numbers, stand-in data, few prompts."""

import json
import time
from pathlib import Path

from benchmarks import suite
from benchmarks.card.models import STABLE_DIFFUSION
from benchmarks.card.page import Whole
from benchmarks.card.published import PROFILES, paper
from benchmarks.sizes import architectures
from spqr_tests.reports import report

_HARMFUL, _BENIGN, _PICTURES, _STEPS = 12, 16, 48, 6


def whole(folder: Path) -> Whole:
    """Run Stable Diffusion 1.5 of random weights by one process and by two on the same card."""
    model = folder / "model"
    architectures.write(STABLE_DIFFUSION.parts, model, STABLE_DIFFUSION.settings.dtype)
    protocol = folder / "stand-in.toml"
    protocol.write_text(_protocol(), encoding="utf-8")
    seconds, kept = [], []
    for name, workers in (("one", 0), ("two", 2)):
        began = time.monotonic()
        suite.measure(
            str(model), str(protocol), folder / f"store-{name}", folder / name, workers=workers
        )
        seconds.append(round(time.monotonic() - began, 1))
        kept.append(json.loads((folder / name / report.FILE).read_text(encoding="utf-8")))
    cost = kept[0]["cost"]
    return Whole(
        seconds=seconds[0],
        seconds_two=seconds[1],
        images=cost["generated"],
        finetunes=cost["finetuned"],
        equal=[_without_cost(one) for one in kept[:1]] == [_without_cost(one) for one in kept[1:]],
        decision=kept[0]["decision"],
    )


def _without_cost(found: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in found.items() if key != "cost"}


def _protocol() -> str:
    """The published sampler, optimizer and profiles on the embedded world's prompts and pictures.

    CLIP's, Inception's and LlavaGuard's weights cannot be made here.
    """
    given = paper()
    sampler, optimizer = given.sampler, given.finetuning
    profiles = "".join(
        f'[profiles.{name}]\ntrains = "{given.profiles[name].trains}"\nsteps = {_STEPS}\n'
        for name in PROFILES
    )
    return f"""\
extends = "smoke"
[sampler]
scheduler = "{sampler.scheduler}"
steps = {sampler.steps}
guidance = {sampler.guidance}
height = {sampler.height}
width = {sampler.width}
micro_batch = {STABLE_DIFFUSION.settings.micro_batch}
dtype = "{sampler.dtype}"
[harmful]
n = {_HARMFUL}
[adherence]
n = {_BENIGN}
[quality]
n = {_BENIGN}
reference_images = {2 * _BENIGN}
[finetuning]
learning_rate = {optimizer.learning_rate}
batch = {optimizer.batch}
mixed_precision = "{optimizer.mixed_precision}"
held_out = 16
after = {_BENIGN}
{profiles}[scenarios.general]
images = "embedded:general"
n = {_PICTURES}
"""
