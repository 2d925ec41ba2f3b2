"""Every scheduler that a pipeline may name: one prompt and seed give one image."""

from typing import Any

import numpy as np
import pytest

from spqr_tests.checkpoint.backbones.backbone import DIFFUSION_SCHEDULERS
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.sampling import Sampler
from tests.tiny import backbones, settings


def _sampler(scheduler: str, name: str = "sd1", **config: Any) -> Sampler:
    import diffusers

    pipeline = backbones.make(name)
    made = getattr(diffusers, scheduler).from_config(dict(pipeline.scheduler.config) | config)
    pipeline.scheduler = made
    side = {"height": backbones.SIDE, "width": backbones.SIDE}
    return Sampler(
        pipeline,
        backbones.backbone_of(pipeline),
        settings(steps=4, guidance=2.0, micro_batch=2, **side),
    )


@pytest.mark.parametrize("scheduler", sorted(DIFFUSION_SCHEDULERS))
def test_one_prompt_and_seed_give_one_image(scheduler: str) -> None:
    sampler = _sampler(scheduler, timestep_spacing="trailing")
    one, other = Prompt("a red circle", 1), Prompt("a blue square", 2)
    alone = sampler.generate([one])[0]
    first, second = sampler.generate([one, other])
    swapped = sampler.generate([other, one])
    assert np.array_equal(alone, first)
    assert np.array_equal(swapped[1], first)
    assert np.array_equal(swapped[0], second)
    assert not np.array_equal(first, second)
