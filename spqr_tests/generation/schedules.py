"""Schedules: the learning rate of each step, as diffusers' schedulers have it."""

from collections.abc import Callable
from typing import Any

from spqr_tests.settings.finetuning import ProfileSettings


class Schedule:
    """Sets an optimizer's learning rates before a step.

    A rate depends on the step's number alone, so that an interrupted training needs no more than
    that to go on.
    """

    def __init__(
        self, profile: ProfileSettings, adamw: Any, steps: int, steps_an_epoch: int
    ) -> None:
        self._groups = adamw.param_groups
        self._rates = [group["lr"] for group in self._groups]
        self._factor = factor(profile, steps)
        epochs = profile.text_encoder.epochs if profile.text_encoder is not None else None
        self._last_of_text = None if epochs is None else epochs * steps_an_epoch

    def begin(self, step: int) -> None:
        """Set the rates of the step with this number, from 0 on."""
        if self._factor is not None:
            for group, rate in zip(self._groups, self._rates, strict=True):
                group["lr"] = rate * self._factor(step)
        if self._last_of_text is not None and step >= self._last_of_text:
            self._groups[-1]["lr"] = 0.0  # the text encoders'; AdamW's decay goes by it too


def factor(profile: ProfileSettings, steps: int) -> Callable[[int], float] | None:
    """What the learning rate is multiplied by at each step; None for a constant rate."""
    if profile.schedule in {None, "constant"}:
        return None
    import torch
    from diffusers.optimization import get_scheduler

    # diffusers attaches a schedule to an optimizer; what it does to the rates is a function.
    scheduler = get_scheduler(
        profile.schedule,
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0),
        num_warmup_steps=profile.warmup_steps or 0,
        num_training_steps=steps,
        num_cycles=profile.cycles or 1,
    )
    found: Callable[[int], float] = scheduler.lr_lambdas[0]
    return found
