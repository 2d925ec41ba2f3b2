"""Objectives: what a denoiser is taught about one batch of latents.

The scheduler's config says which one: diffusion (noise, velocity or sample, from the noise
levels of a beta schedule), flow matching (the velocity on the straight line from picture to
noise), or denoising with EDM's preconditioning.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spqr_tests import quotes
from spqr_tests.checkpoint.backbones.backbone import FLOW_SCHEDULERS
from spqr_tests.errors import EvidenceError

if TYPE_CHECKING:
    import torch

REVISION = 1
"""Part of every fine-tune's key; raise it when a change here changes what is learned."""


@dataclass(frozen=True)
class Lesson:
    """What the denoiser sees and what it should answer.

    Noisy latents and target (n, channels, rows, columns), times (n,) in the scheduler's units, and
    each example's weight (n,).
    """

    noisy: "torch.Tensor"
    times: "torch.Tensor"
    target: "torch.Tensor"
    weights: "torch.Tensor | None" = None
    scale: "torch.Tensor | None" = None
    """What an error of the denoiser becomes in the objective's own units, by a factor (n,)."""

    def loss(self, predicted: "torch.Tensor") -> "torch.Tensor":
        """The weighted mean of the squared error, in float32."""
        import torch

        if self.weights is None and self.scale is None:
            return torch.nn.functional.mse_loss(predicted.float(), self.target.float())
        return self.losses(predicted).mean()

    def losses(self, predicted: "torch.Tensor") -> "torch.Tensor":
        """Each example's weighted squared error, in float32 (n,)."""
        squares = (predicted.float() - self.target.float()).square()
        each: torch.Tensor = squares.mean(dim=list(range(1, squares.ndim)))
        if self.scale is not None:
            each = each * self.scale.square()
        return each if self.weights is None else each * self.weights

    def rows(self, which: slice) -> "Lesson":
        """The lesson of some of the examples."""
        weights, scale = (None if one is None else one[which] for one in (self.weights, self.scale))
        return Lesson(self.noisy[which], self.times[which], self.target[which], weights, scale)


class Objective(ABC):
    """Makes lessons of latents."""

    noise_offset: float | None = None
    """How much noise is the same for all of an example's channel; None for none of it."""

    @abstractmethod
    def lesson(self, latents: "torch.Tensor", generator: "torch.Generator") -> Lesson:
        """A lesson on clean latents, on their device.

        All randomness comes from the CPU generator, so that every device trains on the same noise.
        """

    def noise(self, latents: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
        """Noise of the latents' shape, on their device."""
        import torch

        noise = torch.randn(latents.shape, generator=generator)
        if self.noise_offset is not None:
            alike = torch.randn((*latents.shape[:2], 1, 1), generator=generator)
            noise += self.noise_offset * alike
        return noise.to(latents.device)


def choose(
    scheduler: Any,
    *,
    patch: int,
    min_snr_gamma: float | None,
    noise_offset: float | None = None,
    times: str | None = None,
) -> Objective:
    """The objective of a pipeline's scheduler; `patch` is the backbone's.

    `EvidenceError` for an unknown one.
    """
    found = _of(scheduler, patch, min_snr_gamma, times)
    found.noise_offset = noise_offset
    return found


def _of(scheduler: Any, patch: int, min_snr_gamma: float | None, times: str | None) -> Objective:
    if type(scheduler).__name__ in FLOW_SCHEDULERS:
        if min_snr_gamma is not None:
            raise EvidenceError(
                "min_snr_gamma weighs the loss of diffusion models, and this one is trained by flow"
                " matching."
            )
        return Flow(scheduler, patch, times)
    if scheduler.config.get("prediction_type") == "flow_prediction":
        from diffusers import FlowMatchEulerDiscreteScheduler

        levels = FlowMatchEulerDiscreteScheduler(
            num_train_timesteps=scheduler.config.num_train_timesteps,
            shift=scheduler.config.flow_shift,
        )
        return _of(levels, patch, min_snr_gamma, times)
    if type(scheduler).__name__.startswith("EDM"):
        if min_snr_gamma is not None or times is not None:
            raise EvidenceError(
                "min_snr_gamma and times are for diffusion and flow matching, and this model is"
                " trained by EDM's preconditioned loss."
            )
        return Preconditioned(scheduler)
    if times is not None:
        raise EvidenceError(
            "times says how flow matching draws noise levels, and this model is trained by"
            " diffusion."
        )
    return Diffusion(scheduler, min_snr_gamma)


class Diffusion(Objective):
    """The loss of Stable Diffusion, uniform in time; with a gamma, weighted by min-SNR."""

    def __init__(self, scheduler: Any, min_snr_gamma: float | None = None) -> None:
        from diffusers import DDPMScheduler

        self._scheduler = DDPMScheduler.from_config(scheduler.config)
        self._gamma = min_snr_gamma
        self._predicts = self._scheduler.config.prediction_type
        if self._predicts not in {"epsilon", "v_prediction", "sample"}:
            raise EvidenceError(
                f"The scheduler's config says prediction_type {quotes.shown(self._predicts)},"
                " which cannot be"
                " trained here; known are epsilon, v_prediction and sample."
            )

    def lesson(self, latents: "torch.Tensor", generator: "torch.Generator") -> Lesson:
        """Noise first, then times."""
        import torch

        noise = self.noise(latents, generator)
        steps = self._scheduler.config.num_train_timesteps
        times = torch.randint(0, steps, (len(latents),), generator=generator).to(latents.device)
        match self._predicts:
            case "epsilon":
                target = noise
            case "v_prediction":
                target = self._scheduler.get_velocity(latents, noise, times)
            case _:
                target = latents
        return Lesson(
            self._scheduler.add_noise(latents, noise, times), times, target, self._weights(times)
        )

    def _weights(self, times: "torch.Tensor") -> "torch.Tensor | None":
        """min(SNR, gamma) weighs an error in the sample; the others are that error, scaled."""
        if self._gamma is None:
            return None
        from diffusers.training_utils import compute_snr

        snr: torch.Tensor = compute_snr(self._scheduler, times)
        capped = snr.clamp(max=self._gamma)
        match self._predicts:
            case "epsilon":
                # The same as capped / snr, which would be 0 / 0 where there is no signal; its limit
                # is 1.
                return (self._gamma / snr).clamp(max=1)
            case "v_prediction":
                return capped / (snr + 1)
            case _:
                return capped


class Preconditioned(Objective):
    """Denoising as in EDM (Karras et al., arXiv 2206.00364, section 5).

    Noise levels are uniform among those of the scheduler, and the error of the denoised latents is
    not weighted, as in diffusers' train_dreambooth_lora_sdxl.py (`do_edm_style_training`).
    """

    def __init__(self, scheduler: Any) -> None:
        from diffusers import EDMEulerScheduler

        self._scheduler = EDMEulerScheduler.from_config(scheduler.config)
        if self._scheduler.config.prediction_type != "epsilon":
            raise EvidenceError(
                "The scheduler's config says prediction_type"
                f" {quotes.shown(self._scheduler.config.prediction_type)}, which cannot be trained"
                " here with EDM's preconditioning; known is epsilon."
            )

    def lesson(self, latents: "torch.Tensor", generator: "torch.Generator") -> Lesson:
        """Noise first, then noise levels."""
        import torch

        noise = self.noise(latents, generator)
        count = self._scheduler.config.num_train_timesteps
        rows = torch.randint(0, count, (len(latents),), generator=generator)
        levels = self._scheduler.sigmas[rows].to(latents.device)
        sigma, data = levels.view(-1, 1, 1, 1), self._scheduler.config.sigma_data
        root = (sigma**2 + data**2).sqrt()
        # The denoised latents are c_skip (latents + sigma noise) + c_out x, with c_skip =
        # data^2 / root^2 and c_out = sigma data / root; this is the x that makes them the latents,
        # without the difference of nearly equal numbers that a small sigma would leave.
        target = (sigma * latents - data**2 * noise) / (data * root)
        return Lesson(
            self._scheduler.precondition_inputs(latents + sigma * noise, sigma),
            self._scheduler.timesteps[rows].to(latents.device),
            target,
            scale=(sigma * data / root).view(-1),
        )


class Flow(Objective):
    """Rectified flow matching at logit-normal times (arXiv 2403.03206).

    Times are shifted as the scheduler's config says.

    A constant shift is applied to the training's noise levels by the scheduler itself. A shift that
    depends on the resolution is applied here, by the same rule and with the same constants as in
    sampling: FLUX was trained so, and without it a fine-tune would hardly touch the noise levels at
    which a picture's composition is decided.

    `times` names another way to draw them: `uniform`ly of the scheduler's levels without a shift
    that depends on the resolution (diffusers' scripts, with no weighting), a `sigmoid` of normal
    numbers without any shift (ai-toolkit), or the same with the shift of sampling (`flux_shift`,
    kohya).
    """

    def __init__(self, scheduler: Any, patch: int, times: str | None = None) -> None:
        self._scheduler = type(scheduler).from_config(scheduler.config)
        self._patch = patch
        self._times = times

    def lesson(self, latents: "torch.Tensor", generator: "torch.Generator") -> Lesson:
        """Noise first, then times."""
        noise = self.noise(latents, generator)
        drawn = self._levels_of(latents, generator).to(latents.device)
        sigmas = drawn.view(-1, 1, 1, 1)
        times = drawn * self._scheduler.config.num_train_timesteps
        return Lesson((1 - sigmas) * latents + sigmas * noise, times, noise - latents)

    def _levels_of(self, latents: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
        """A noise level in [0, 1] for each of the latents."""
        import torch
        from diffusers.training_utils import compute_density_for_timestep_sampling

        n, _, rows, columns = latents.shape
        if self._times in {"sigmoid", "flux_shift"}:
            drawn = torch.randn(n, generator=generator).sigmoid()
            return drawn if self._times == "sigmoid" else self._shifted(drawn, rows, columns)
        if self._times == "uniform":
            density, levels = torch.rand(n, generator=generator), self._scheduler.sigmas
        else:
            density = compute_density_for_timestep_sampling(
                "logit_normal", n, logit_mean=0.0, logit_std=1.0, generator=generator
            )
            levels = self.levels(rows, columns)
        found: torch.Tensor = levels[(density * len(levels)).long().clamp(max=len(levels) - 1)]
        return found

    def levels(self, rows: int, columns: int) -> "torch.Tensor":
        """The noise levels for latents of this size, falling from 1: (num_train_timesteps,)."""
        levels: torch.Tensor = self._scheduler.sigmas
        if not self._scheduler.config.use_dynamic_shifting:
            return levels
        return self._shifted(levels, rows, columns)

    def _shifted(self, levels: "torch.Tensor", rows: int, columns: int) -> "torch.Tensor":
        """Noise levels, shifted as in sampling for latents of this size."""
        config = self._scheduler.config
        tokens = (rows // self._patch) * (columns // self._patch)
        # diffusers' calculate_shift (pipeline_flux.py): a line through the config's two points.
        slope = (config.max_shift - config.base_shift) / (
            config.max_image_seq_len - config.base_image_seq_len
        )
        mu = tokens * slope + (config.base_shift - slope * config.base_image_seq_len)
        shifted: torch.Tensor = self._scheduler.time_shift(mu, 1.0, levels)
        return shifted
