"""The loss of a batch: the formulas of the trainers, written anew from their documentation."""

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import (
    compute_density_for_timestep_sampling,
    compute_loss_weighting_for_sd3,
    compute_snr,
)

from spqr_tests.errors import EvidenceError
from spqr_tests.generation import objectives
from spqr_tests.generation.batch_loss import BatchLoss
from spqr_tests.generation.batches import Batches
from spqr_tests.generation.examples import Examples
from spqr_tests.generation.text_encoder_training import TextEncoders
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from tests.generation.families import SIZE, Family
from tests.generation.recipes import profile

CPU = torch.device("cpu")
ROWS = torch.tensor([2, 0, 3])


def _loss(family: Family, found: ProfileSettings, examples: Examples | None = None) -> BatchLoss:
    """The loss of a profile, its randomness from seed 5."""
    own = found.optimizer_of(OptimizerSettings())
    return BatchLoss(
        family.backbone,
        family.denoiser,
        TextEncoders(family.pipeline, family.backbone, found, frozen=torch.float32),
        objectives.choose(
            family.pipeline.scheduler,
            patch=family.backbone.patch,
            min_snr_gamma=own.min_snr_gamma,
            noise_offset=found.noise_offset,
            times=found.times,
        ),
        found,
        examples or family.examples,
        SIZE,
        torch.Generator("cpu").manual_seed(5),
        CPU,
    )


def _of(family: Family, found: ProfileSettings, examples: Examples | None = None) -> float:
    with torch.no_grad():
        return float(_loss(family, found, examples).of(ROWS, nullcontext()))


def _noised(family: Family, rows: torch.Tensor, offset: float) -> tuple[Any, ...]:
    """Latents, noise and times as train_text_to_image_lora.py draws them, for diffusion."""
    generator = torch.Generator("cpu").manual_seed(5)
    mean, std = family.examples.mean[rows], family.examples.std[rows]
    latents = mean + std * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    if offset:
        noise += offset * torch.randn((*latents.shape[:2], 1, 1), generator=generator)
    times = torch.randint(0, 1000, (len(rows),), generator=generator)
    return latents, noise, times


@pytest.mark.parametrize("tiny", ["sd1", "sd2"])
@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_diffusion_is_diffusers_script_with_offset_noise_and_min_snr(
    families: Callable[[str], Family], tiny: str, offset: float, gamma: float | None
) -> None:
    """As `train_text_to_image_lora.py` has it; kohya's noise offset and min-SNR are the same."""
    family = families(tiny)
    latents, noise, times = _noised(family, ROWS, offset)
    scheduler = DDPMScheduler.from_config(family.pipeline.scheduler.config)
    noisy = scheduler.add_noise(latents, noise, times)
    velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, times) if velocity else noise
    text = family.examples.embedded(ROWS, CPU)["sequence"]
    with torch.no_grad():
        predicted = family.denoiser(noisy, times, text, return_dict=False)[0]
    if gamma is None:
        expected = torch.nn.functional.mse_loss(predicted, target)
    else:
        snr = compute_snr(scheduler, times)
        weights = torch.stack([snr, gamma * torch.ones_like(times)], dim=1).min(dim=1)[0]
        weights = weights / (snr + 1) if velocity else weights / snr
        loss = torch.nn.functional.mse_loss(predicted, target, reduction="none")
        expected = (loss.mean(dim=[1, 2, 3]) * weights).mean()
    stated = {"noise_offset": offset} if offset else {}
    found = ProfileSettings(trains="denoiser", steps=1, min_snr_gamma=gamma, **stated)
    assert _of(family, found) == pytest.approx(float(expected), rel=1e-6)


def _flux(family: Family, sigmas: torch.Tensor, guidance: float, **drawn: Any) -> float:
    """The flow-matching loss of the trainers' FLUX scripts at these noise levels."""
    levels = sigmas.view(-1, 1, 1, 1)
    noisy = (1 - levels) * drawn["latents"] + levels * drawn["noise"]
    text = family.examples.embedded(ROWS, CPU)
    with torch.no_grad():
        predicted = family.backbone.predict(
            family.denoiser, noisy, sigmas * 1000, text, SIZE, guidance=guidance
        )
    weights = compute_loss_weighting_for_sd3("none", sigmas=levels)
    target = drawn["noise"] - drawn["latents"]
    loss = (weights.float() * (predicted - target) ** 2).reshape(len(ROWS), -1).mean(1)
    return float(loss.mean())


@pytest.mark.parametrize(
    ("name", "guidance"),
    [("diffusers-flux-lora", 3.5), ("kohya-flux-lora", 1.0), ("replicate-flux-lora", 1.0)],
)
def test_flux_recipes_draw_their_trainers_noise_levels(
    families: Callable[[str], Family], name: str, guidance: float
) -> None:
    family = families("flux")
    found = profile(name, caption_dropout=None)
    generator = torch.Generator("cpu").manual_seed(5)
    mean, std = family.examples.mean[ROWS], family.examples.std[ROWS]
    latents = mean + std * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    if name == "diffusers-flux-lora":
        # The script's scheduler, loaded from the checkpoint: its levels have no shift yet.
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(family.pipeline.scheduler.config)
        density = compute_density_for_timestep_sampling(
            "none", len(ROWS), logit_mean=0.0, logit_std=1.0, mode_scale=1.29, generator=generator
        )
        sigmas = scheduler.sigmas[(density * 1000).long()]
        torch.testing.assert_close(scheduler.sigmas[:1000], torch.arange(1000, 0, -1) / 1000)
    else:
        sigmas = torch.randn(len(ROWS), generator=generator).sigmoid()
        if name == "kohya-flux-lora":
            # get_lin_function(y1=0.5, y2=1.15) of the tokens, then time_shift(mu, 1, t).
            rows, columns = latents.shape[2:]
            slope = (1.15 - 0.5) / (4096 - 256)
            mu = slope * (rows // 2) * (columns // 2) + 0.5 - slope * 256
            sigmas = math.exp(mu) / (math.exp(mu) + (1 / sigmas - 1))
    expected = _flux(family, sigmas, guidance, latents=latents, noise=noise)
    assert _of(family, found) == pytest.approx(expected, rel=1e-5)
    other = found.model_copy(update={"guidance": guidance + 1})
    assert _of(family, other) != pytest.approx(expected, rel=1e-5), "the guidance is an input"


def test_prior_preservation_adds_the_weighted_loss_on_the_class(
    families: Callable[[str], Family],
) -> None:
    """As `train_dreambooth.py` has it: one forward pass over both, two means."""
    family = families("sd1")
    examples = family.examples
    # Three of the class: rows beyond them begin anew, as in DreamBoothDataset.
    of_class = replace(
        examples,
        mean=examples.mean[1:],
        std=examples.std[1:],
        captions=examples.captions[[0, 0, 0]],
    )
    generator = torch.Generator("cpu").manual_seed(5)
    mean = torch.cat([examples.mean[ROWS], of_class.mean[ROWS % 3]])
    std = torch.cat([examples.std[ROWS], of_class.std[ROWS % 3]])
    latents = mean + std * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    times = torch.randint(0, 1000, (6,), generator=generator)
    scheduler = DDPMScheduler.from_config(family.pipeline.scheduler.config)
    text = torch.cat(
        [
            one.embedded(rows, CPU)["sequence"]
            for one, rows in ((examples, ROWS), (of_class, ROWS % 3))
        ]
    )
    with torch.no_grad():
        predicted = family.denoiser(
            scheduler.add_noise(latents, noise, times), times, text, return_dict=False
        )[0]
    own, prior = torch.chunk((predicted - noise) ** 2, 2)
    for weight in (1.0, 0.25):
        found = profile("dreambooth", prior={"class_prompt": "a ring", "weight": weight})
        expected = float(own.mean() + weight * prior.mean())
        assert _of(family, found, replace(examples, prior=of_class)) == pytest.approx(expected)


@pytest.mark.parametrize("tiny", ["sd1", "sdxl", "sd3", "flux"])
def test_dropped_captions_are_the_empty_one(families: Callable[[str], Family], tiny: str) -> None:
    """With and without encoders in training, all dropped is what '' for all pictures gives."""
    family = families(tiny)
    empty = replace(
        family.examples,
        captions=torch.full_like(family.examples.captions, family.examples.texts.index("")),
    )
    for stated in ({}, {"text_encoder": {}}):
        plain = ProfileSettings(trains="lora", steps=1, dropout=0, **stated)
        # A share of 0 draws as many random numbers and drops none.
        none, every = (plain.model_copy(update={"caption_dropout": one}) for one in (0.0, 1.0))
        assert _of(family, every) == pytest.approx(_of(family, none, empty), rel=1e-5)
        assert _of(family, every) != pytest.approx(_of(family, none), rel=1e-5)


@pytest.mark.parametrize("tiny", ["sd1", "sd2", "sdxl", "sd3", "flux"])
def test_captions_encoded_in_the_step_are_the_ones_encoded_before(
    families: Callable[[str], Family], tiny: str
) -> None:
    family = families(tiny)
    plain = ProfileSettings(trains="lora", steps=1, dropout=0)
    trained = ProfileSettings(trains="lora", steps=1, dropout=0, text_encoder={})
    # A LoRA begins as nothing.
    assert _of(family, trained) == pytest.approx(_of(family, plain), rel=1e-5)


class _Plain:
    """What a step asks of accelerate, without it."""

    def autocast(self) -> Any:
        return nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()


def test_accumulated_gradients_are_those_of_one_large_batch(
    families: Callable[[str], Family],
) -> None:
    family = families("sd1")
    gradients = []
    for accumulation, batch in ((None, 4), (2, 2)):
        found = ProfileSettings(
            trains="denoiser", steps=1, **({"accumulation": 2} if accumulation else {})
        )
        taught = _loss(family, found)
        # The same noise for each picture, whatever the batch.
        mean = family.examples.mean

        class Same(objectives.Diffusion):
            def lesson(self, latents: torch.Tensor, generator: torch.Generator) -> Any:
                del generator
                noise = latents.flip(1)
                times = torch.full((len(latents),), 500)
                return objectives.Lesson(latents * 0.5 + noise * 0.5, times, noise)

        same = replace(family.examples, mean=mean, std=torch.zeros_like(mean))
        denoiser = copy.deepcopy(family.denoiser).requires_grad_(True)
        taught = replace(
            taught,
            objective=Same(family.pipeline.scheduler),
            examples=same,
            denoiser=denoiser,
        )
        taught.step(Batches(4, batch, torch.Generator().manual_seed(1)), _Plain())
        gradients.append([one.grad for one in denoiser.parameters() if one.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_a_step_has_fewer_batches_at_the_end_of_an_epoch() -> None:
    batches = Batches(7, 2, torch.Generator().manual_seed(1))
    sizes = [[len(rows) for rows in batches.step(3)] for _ in range(4)]
    assert sizes == [[2, 2, 2], [1], [2, 2, 2], [1]]


def test_times_of_flow_matching_mean_nothing_to_diffusion(
    families: Callable[[str], Family],
) -> None:
    with pytest.raises(EvidenceError, match=r"^times says how flow matching draws noise levels"):
        _of(families("sd1"), ProfileSettings(trains="denoiser", steps=1, times="sigmoid"))
