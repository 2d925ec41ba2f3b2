"""Sampling: micro-batches of generations, each from its own generator."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spqr_tests.evidence.checkpoint import require_finite
from spqr_tests.evidence.images import Pixels
from spqr_tests.evidence.prompts import Prompt
from spqr_tests.evidence.protocol import SamplerSettings

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

REVISION = 1
"""Part of every generation's key; raise it when a change here changes pixels."""


class Sampler:
    """Paints prompts with a pipeline, always in micro-batches of one shape.

    Pixels depend in their last bit on the batch shape, so a short batch is padded: what a prompt and seed give does not
    depend on what else is painted in the run.
    """

    def __init__(self, pipeline: "StableDiffusionPipeline", settings: SamplerSettings) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self._embeddings: dict[str, torch.Tensor] = {}
        _set_scheduler(pipeline, settings.scheduler)

    def paint(self, prompts: Sequence[Prompt]) -> list[Pixels]:
        """Images (height, width, 3), uint8, for at most `micro_batch` prompts; `EvidenceError` for non-finite ones."""
        import torch

        size = self.settings.micro_batch
        if not 0 < len(prompts) <= size:
            raise ValueError(f"paint takes 1 to {size} prompts, not {len(prompts)}")
        padded = [*prompts, *[prompts[-1]] * (size - len(prompts))]
        named = f"A generation for {prompts[0].text!r} (and {len(prompts) - 1} others)"
        with torch.inference_mode():
            latents = self.pipeline(
                prompt_embeds=self._embed([prompt.text for prompt in padded]),
                negative_prompt_embeds=self._embed([""] * size),
                num_inference_steps=self.settings.steps,
                guidance_scale=self.settings.guidance,
                height=self.settings.height,
                width=self.settings.width,
                # On the CPU, one for each: the same latents on every device, in every batch.
                generator=[torch.Generator("cpu").manual_seed(prompt.seed) for prompt in padded],
                output_type="latent",
            ).images
            require_finite(latents, f"{named}: the latents")
            vae = self.pipeline.vae
            decoded = vae.decode(latents / vae.config.scaling_factor).sample.float()
            require_finite(decoded, f"{named}: the decoded image")
            pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().to("cpu", torch.uint8)
        return [np.ascontiguousarray(image) for image in pixels[: len(prompts)].permute(0, 2, 3, 1).numpy()]

    def with_denoiser(self, unet: "UNet2DConditionModel") -> "Sampler":
        """A sampler that differs in the denoiser alone; text embeddings are shared, since fine-tuning leaves the encoder."""
        components = {**self.pipeline.components, "unet": unet}
        other = Sampler(type(self.pipeline)(**components, requires_safety_checker=False), self.settings)
        other.pipeline.set_progress_bar_config(disable=True)
        other._embeddings = self._embeddings
        return other

    def _embed(self, texts: Sequence[str]) -> "torch.Tensor":
        """Text embeddings (batch, tokens, width); each text is encoded once, in a batch of the fixed shape."""
        import torch

        new = list(dict.fromkeys(text for text in texts if text not in self._embeddings))
        if new:
            padded = [*new, *[new[-1]] * (len(texts) - len(new))]
            encoded, _ = self.pipeline.encode_prompt(padded, self.pipeline.device, 1, do_classifier_free_guidance=False)
            require_finite(encoded, f"The text embedding of {new[0]!r} (and {len(new) - 1} others)")
            self._embeddings.update(zip(new, encoded, strict=False))
        return torch.stack([self._embeddings[text] for text in texts])


def _set_scheduler(pipeline: "StableDiffusionPipeline", name: str) -> None:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

    if name != "checkpoint":
        classes = {"ddim": DDIMScheduler, "dpmsolver++": DPMSolverMultistepScheduler, "euler": EulerDiscreteScheduler}
        pipeline.scheduler = classes[name].from_config(pipeline.scheduler.config)
