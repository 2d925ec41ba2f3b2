"""Schedules: the learning rates are diffusers', step by step."""

from typing import Any

import pytest
import torch
from diffusers.optimization import get_scheduler

from spqr_tests.generation.schedules import Schedule
from spqr_tests.settings.finetuning import ProfileSettings

STEPS = 20
RATES = (1e-2, 1e-3)


def _adamw() -> torch.optim.AdamW:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in RATES]
    return torch.optim.AdamW(groups, lr=1.0)


def _profile(**stated: Any) -> ProfileSettings:
    return ProfileSettings(trains="denoiser", steps=STEPS, **stated)


@pytest.mark.parametrize(
    "stated",
    [
        {"schedule": "constant"},
        {"schedule": "constant_with_warmup", "warmup_steps": 6},
        {"schedule": "linear", "warmup_steps": 3},
        {"schedule": "linear"},
        {"schedule": "cosine", "warmup_steps": 5},
        {"schedule": "cosine_with_restarts", "cycles": 3},
        {"schedule": "cosine_with_restarts", "warmup_steps": 4, "cycles": 2},
        {"schedule": "cosine_with_restarts"},
    ],
    ids=str,
)
@pytest.mark.parametrize("begin", [0, 7], ids=["whole", "resumed"])
def test_each_step_has_the_rate_of_diffusers_scheduler(stated: dict[str, Any], begin: int) -> None:
    ours, theirs = _adamw(), _adamw()
    scheduler = get_scheduler(
        stated["schedule"],
        theirs,
        num_warmup_steps=stated.get("warmup_steps", 0),
        num_training_steps=STEPS,
        num_cycles=stated.get("cycles", 1),
    )
    expected = []
    for _ in range(STEPS):
        expected.append([group["lr"] for group in theirs.param_groups])
        theirs.step()
        scheduler.step()
    schedule, found = Schedule(_profile(**stated), ours, STEPS, STEPS), []
    for step in range(begin, STEPS):
        schedule.begin(step)
        found.append([group["lr"] for group in ours.param_groups])
    assert found == expected[begin:]
    assert stated["schedule"] == "constant" or expected[1] != expected[-1]


def test_without_a_schedule_no_rate_is_touched() -> None:
    adamw = _adamw()
    Schedule(_profile(), adamw, STEPS, STEPS).begin(STEPS - 1)
    assert [group["lr"] for group in adamw.param_groups] == [*RATES]
