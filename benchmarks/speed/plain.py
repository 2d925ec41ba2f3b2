"""The plain way: what diffusers' documentation and its training examples do.

On one thread, as the suite's processes are on a CPU: all cores are used by running more of them.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from spqr_fixtures.embedded import weights
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.settings.protocol import Protocol


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, with its own kernels."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pipeline() -> Any:
    """The embedded base, as diffusers loads it."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    found = StableDiffusionPipeline.from_pretrained(weights.base_folder(), safety_checker=None)
    found.scheduler = DDIMScheduler.from_config(found.scheduler.config)
    found.set_progress_bar_config(disable=True)
    return found


def sample(pipe: Any, protocol: Protocol, texts: Sequence[str]) -> None:
    """One prompt after the other."""
    import torch

    numbers = protocol.sampler.numbers
    with one_thread():
        for seed, text in enumerate(texts):
            pipe(
                text,
                num_inference_steps=numbers.steps,
                guidance_scale=numbers.guidance,
                height=numbers.height,
                width=numbers.width,
                generator=torch.Generator().manual_seed(seed),
            )


def train(pipe: Any, profile: ProfileSettings, protocol: Protocol, steps: int) -> float:
    """Seconds of a step, as in diffusers' train_text_to_image.py and its LoRA's.

    The pictures and captions of a batch are encoded in its step. A LoRA has the profile's rank and
    targets and no dropout, since those scripts have none.
    """
    import copy

    import torch
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from peft import LoraConfig

    numbers, settings = protocol.sampler.numbers, profile.optimizer_of(protocol.finetuning)
    accelerator = Accelerator(cpu=True)
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    unet = copy.deepcopy(pipe.unet).requires_grad_(False).train()
    if profile.trains == "lora":
        unet.add_adapter(
            LoraConfig(
                r=profile.rank, lora_alpha=profile.alpha, target_modules=list(profile.targets)
            )
        )
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(
            {
                "lora": "lora_" in name,
                "cross-attention": ".attn2." in name,
                "denoiser": True,
            }[profile.trains]
        )
    trained = [one for one in unet.parameters() if one.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=settings.learning_rate)
    unet, adamw = accelerator.prepare(unet, adamw)
    pixels = torch.rand(settings.batch, 3, numbers.height, numbers.width) * 2 - 1
    captions = [f"a red circle and {number}" for number in range(settings.batch)]
    times = []
    with one_thread():
        for _ in range(steps + 1):
            began = time.perf_counter()
            latents = pipe.vae.encode(pixels).latent_dist.sample() * pipe.vae.config.scaling_factor
            noise = torch.randn_like(latents)
            steps_of_noise = torch.randint(0, 1000, (settings.batch,))
            ids = pipe.tokenizer(
                captions,
                padding="max_length",
                truncation=True,
                max_length=pipe.tokenizer.model_max_length,
                return_tensors="pt",
            ).input_ids
            text = pipe.text_encoder(ids)[0]
            noisy = scheduler.add_noise(latents, noise, steps_of_noise)
            predicted = unet(noisy, steps_of_noise, text).sample
            loss = torch.nn.functional.mse_loss(predicted.float(), noise.float())
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(trained, settings.max_grad_norm)
            adamw.step()
            adamw.zero_grad()
            times.append(time.perf_counter() - began)
    return min(times[1:])
