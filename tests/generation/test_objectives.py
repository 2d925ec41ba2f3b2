"""Objectives: targets, noise levels and weights against hand-computed values."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spqr_tests.errors import EvidenceError
from spqr_tests.generation import objectives
from spqr_tests.generation.objectives import Diffusion, Flow, Lesson

if TYPE_CHECKING:
    import torch

# Shares of the picture that are left after each step: 1/2, 1/4, 1/8; signal to noise 1, 1/3, 1/7.
HALVES = {"trained_betas": [0.5, 0.5, 0.5], "num_train_timesteps": 3}


def _ddim(**changed: Any) -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(**changed)


def _flow(**changed: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**changed)


def _generator(seed: int = 0) -> "torch.Generator":
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def _latents(count: int = 12, side: int = 4) -> "torch.Tensor":
    import torch

    return torch.randn(count, 2, side, side, generator=_generator(1))


def _lesson(objective: objectives.Objective, count: int = 12) -> Lesson:
    return objective.lesson(_latents(count), _generator())


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [
        (lambda: _ddim(prediction_type="epsilon"), Diffusion),
        (lambda: _ddim(prediction_type="v_prediction"), Diffusion),
        (lambda: _ddim(prediction_type="sample"), Diffusion),
        (_flow, Flow),
    ],
)
def test_the_scheduler_says_what_is_learned(scheduler: Any, kind: type) -> None:
    assert type(objectives.choose(scheduler(), patch=2, min_snr_gamma=None)) is kind


def test_what_cannot_be_trained_is_an_error() -> None:
    with pytest.raises(
        EvidenceError,
        match=r"^The scheduler's config says prediction_type 'trigflow', which cannot",
    ):
        objectives.choose(_ddim(prediction_type="trigflow"), patch=1, min_snr_gamma=None)
    with pytest.raises(EvidenceError, match=r"^min_snr_gamma weighs the loss of diffusion models"):
        objectives.choose(_flow(), patch=2, min_snr_gamma=5.0)


@pytest.mark.parametrize("what", ["epsilon", "v_prediction", "sample"])
def test_the_target_of_diffusion_is_what_the_scheduler_predicts(what: str) -> None:
    import torch

    lesson = _lesson(Diffusion(_ddim(prediction_type=what, **HALVES)))
    assert set(lesson.times.tolist()) == {0, 1, 2}
    kept = (0.5 ** (lesson.times + 1)).view(-1, 1, 1, 1)
    clean, noise = _latents(), torch.randn(_latents().shape, generator=_generator())
    torch.testing.assert_close(lesson.noisy, kept.sqrt() * clean + (1 - kept).sqrt() * noise)
    expected = {
        "epsilon": noise,
        "v_prediction": kept.sqrt() * noise - (1 - kept).sqrt() * clean,
        "sample": clean,
    }[what]
    torch.testing.assert_close(lesson.target, expected)
    assert lesson.weights is None


@pytest.mark.parametrize(
    ("what", "weights"),
    [
        ("epsilon", [1 / 2, 1, 1]),
        ("v_prediction", [(1 / 2) / 2, (1 / 3) / (4 / 3), (1 / 7) / (8 / 7)]),
        ("sample", [1 / 2, 1 / 3, 1 / 7]),
    ],
)
def test_min_snr_weighs_examples_by_their_signal_up_to_a_half(
    what: str, weights: list[float]
) -> None:
    import torch

    lesson = _lesson(Diffusion(_ddim(prediction_type=what, **HALVES), 0.5))
    assert lesson.weights is not None
    assert lesson.weights.tolist() == pytest.approx(
        [weights[time] for time in lesson.times.tolist()]
    )
    plain = _lesson(Diffusion(_ddim(prediction_type=what, **HALVES)))
    assert torch.equal(plain.noisy, lesson.noisy), "weights draw no random numbers"


@pytest.mark.parametrize("what", ["epsilon", "v_prediction", "sample"])
def test_without_any_signal_the_weight_is_a_number(what: str) -> None:
    scheduler = _ddim(
        prediction_type=what,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True,
        num_train_timesteps=3,
    )
    lesson = _lesson(Diffusion(scheduler, 5.0))
    assert lesson.weights is not None
    (last,) = {
        weight
        for weight, time in zip(lesson.weights.tolist(), lesson.times.tolist(), strict=True)
        if time == 2
    }
    assert last == (1 if what == "epsilon" else 0)


def test_the_loss_is_the_weighted_mean_of_each_examples_squared_error() -> None:
    import torch

    target = torch.zeros(2, 1, 1, 2)
    predicted = torch.tensor([[[[1.0, 3.0]]], [[[2.0, 0.0]]]])  # mean squares 5 and 2
    weighted = Lesson(target, target, target, torch.tensor([0.5, 0.25]))
    assert float(weighted.loss(predicted)) == pytest.approx((0.5 * 5 + 0.25 * 2) / 2)
    assert float(Lesson(target, target, target).loss(predicted)) == pytest.approx(3.5)
    assert float(Lesson(target, target, target, torch.ones(2)).loss(predicted)) == pytest.approx(
        3.5
    )


def test_a_flow_is_a_straight_line_from_picture_to_noise() -> None:
    import torch

    lesson = _lesson(Flow(_flow(shift=3.0), 2))
    levels = (lesson.times / 1000).view(-1, 1, 1, 1)
    torch.testing.assert_close(lesson.noisy - levels * lesson.target, _latents())
    noise = torch.randn(_latents().shape, generator=_generator())
    torch.testing.assert_close(lesson.noisy + (1 - levels) * lesson.target, noise)
    assert len(set(lesson.times.tolist())) > 6, "each example has a time of its own"


def test_a_constant_shift_moves_the_levels() -> None:
    import torch

    plain, shifted = (Flow(_flow(shift=shift), 2).levels(4, 4) for shift in (1.0, 3.0))
    torch.testing.assert_close(plain, torch.arange(1000, 0, -1) / 1000)
    torch.testing.assert_close(shifted, 3 * plain / (1 + 2 * plain))


@pytest.mark.parametrize(
    ("side", "mu"), [(32, 0.5), (128, 1.15), (80, 0.5 + (1600 - 256) * 0.65 / 3840)]
)
def test_a_shift_that_depends_on_the_resolution_is_samplings(side: int, mu: float) -> None:
    import torch

    scheduler = _flow(shift=3.0, use_dynamic_shifting=True)
    levels = Flow(scheduler, 2).levels(side, side)
    plain = torch.arange(1000, 0, -1) / 1000
    torch.testing.assert_close(levels, math.exp(mu) / (math.exp(mu) + 1 / plain - 1))
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 1000, 1000), mu=mu)
    torch.testing.assert_close(levels, scheduler.sigmas[:-1])


def test_times_of_a_flow_are_logit_normal() -> None:
    import torch

    times = torch.cat(
        [
            _lesson(Flow(_flow(), 2), 500).times,
            Flow(_flow(), 2).lesson(_latents(500), _generator(2)).times,
        ]
    )
    # The quantiles of a standard normal at 16, 50 and 84 % are -1, 0 and 1.
    found = torch.quantile(torch.logit(times / 1000), torch.tensor([0.1587, 0.5, 0.8413]))
    assert found.tolist() == pytest.approx([-1, 0, 1], abs=0.12)


@pytest.mark.parametrize(
    "objective",
    [
        lambda: Diffusion(_ddim()),
        lambda: Diffusion(_ddim(), 5.0),
        lambda: Flow(_flow(use_dynamic_shifting=True), 2),
    ],
)
def test_only_the_generator_that_is_given_decides(objective: Any) -> None:
    import torch

    torch.manual_seed(1)
    first = _lesson(objective())
    state = torch.get_rng_state()
    second = _lesson(objective())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.noisy, second.noisy)
    assert torch.equal(first.times, second.times)
    assert not torch.equal(objective().lesson(_latents(), _generator(5)).times, first.times)


def test_edm_s_loss_is_that_of_diffusers_preconditioning() -> None:
    """As train_dreambooth_lora_sdxl.py computes it with `do_edm_style_training`."""
    import torch
    from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler

    objective = objectives.choose(EDMDPMSolverMultistepScheduler(), patch=1, min_snr_gamma=None)
    latents = _latents(64)
    lesson = objective.lesson(latents, _generator())
    theirs = EDMEulerScheduler()
    sigmas = (4 * lesson.times).exp().view(-1, 1, 1, 1)
    noisy = lesson.noisy / theirs.precondition_inputs(torch.ones(()), sigmas)
    torch.testing.assert_close(lesson.times, theirs.precondition_noise(sigmas).view(-1))
    assert {*lesson.times.tolist()} <= {*theirs.timesteps[:-1].tolist()}
    assert float(sigmas.max() / sigmas.min()) > 1e3, "noise levels are all over the schedule"
    predicted = torch.randn(latents.shape, generator=_generator(2))
    denoised = theirs.precondition_outputs(noisy, predicted, sigmas)
    expected = (denoised - latents).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(lesson.losses(predicted), expected, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(lesson.loss(predicted), expected.mean(), rtol=1e-3, atol=1e-6)
    assert lesson.rows(slice(3, 5)).losses(predicted[3:5]).tolist() == pytest.approx(
        expected[3:5].tolist(), rel=1e-3
    )
    # The best answer leaves no error, at the smallest noise as at the largest.
    assert float(lesson.losses(lesson.target).max()) == 0
    answer = theirs.precondition_outputs(noisy, lesson.target, sigmas)
    torch.testing.assert_close(answer, latents, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "stated", [{"min_snr_gamma": 5.0}, {"min_snr_gamma": None, "times": "uniform"}]
)
def test_other_losses_settings_mean_nothing_to_edm(stated: dict[str, Any]) -> None:
    from diffusers import EDMEulerScheduler

    with pytest.raises(EvidenceError, match="trained by EDM's preconditioned loss"):
        objectives.choose(EDMEulerScheduler(), patch=1, **stated)
    with pytest.raises(EvidenceError, match="prediction_type 'v_prediction', which cannot be"):
        objectives.choose(
            EDMEulerScheduler(prediction_type="v_prediction"), patch=1, min_snr_gamma=None
        )


def test_a_flow_that_dpm_solver_samples_is_trained_as_any_flow() -> None:
    import torch
    from diffusers import DPMSolverMultistepScheduler

    sana = DPMSolverMultistepScheduler(
        flow_shift=3.0, use_flow_sigmas=True, prediction_type="flow_prediction"
    )
    found = [
        _lesson(objectives.choose(one, patch=1, min_snr_gamma=None))
        for one in (sana, _flow(shift=3.0), _flow())
    ]
    torch.testing.assert_close(found[0].times, found[1].times)
    torch.testing.assert_close(found[0].noisy, found[1].noisy)
    assert (found[0].times > found[2].times).all(), "shifted to more noise"
    with pytest.raises(EvidenceError, match="trained by flow"):
        objectives.choose(sana, patch=1, min_snr_gamma=5.0)
