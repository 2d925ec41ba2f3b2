"""The plain way: what diffusers' documentation and its training examples do.

On one thread, as the suite's processes are on a CPU: all cores are used by running more of them.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from spqr_fixtures.embedded import weights
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import Numbers


@contextmanager
def one_thread(device: str = "cpu") -> Iterator[None]:
    """torch on one thread, with its own kernels; a card's are its own business."""
    import torch

    if device != "cpu":
        yield
        return
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


def sample(pipe: Any, numbers: Numbers, texts: Sequence[str]) -> None:
    """One prompt after the other."""
    import torch

    with one_thread(pipe.device.type):
        for seed, text in enumerate(texts):
            pipe(
                text,
                num_inference_steps=numbers.steps,
                guidance_scale=numbers.guidance,
                height=numbers.height,
                width=numbers.width,
                generator=torch.Generator().manual_seed(seed),
            )


def train(
    pipe: Any,
    profile: ProfileSettings,
    settings: OptimizerSettings,
    size: tuple[int, int],
    steps: int,
) -> float:
    """Seconds of a step, as in diffusers' train_text_to_image.py and its LoRA's.

    The pictures, of `size` in pixels, and captions of a batch are encoded in its step. A LoRA has
    the profile's rank and targets and no dropout, since those scripts have none.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from diffusers import DDPMScheduler

    device = pipe.device
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001  one precision a process
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=settings.mixed_precision,
        device_placement=False,
    )
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    unet = _trainable(pipe.unet, profile)
    trained = [one for one in unet.parameters() if one.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=settings.learning_rate)
    unet, adamw = accelerator.prepare(unet, adamw)
    dtype = pipe.vae.dtype
    pixels = (torch.rand(settings.batch, 3, *size) * 2 - 1).to(device, dtype)
    captions = [f"a red circle and {number}" for number in range(settings.batch)]
    times = []
    with one_thread(device.type):
        for _ in range(steps + 1):
            began = time.perf_counter()
            latents = pipe.vae.encode(pixels).latent_dist.sample() * pipe.vae.config.scaling_factor
            noise = torch.randn_like(latents)
            steps_of_noise = torch.randint(0, 1000, (settings.batch,), device=device)
            ids = pipe.tokenizer(
                captions,
                padding="max_length",
                truncation=True,
                max_length=pipe.tokenizer.model_max_length,
                return_tensors="pt",
            ).input_ids
            text = pipe.text_encoder(ids.to(device))[0]
            noisy = scheduler.add_noise(latents, noise, steps_of_noise)
            predicted = unet(noisy, steps_of_noise, text).sample
            loss = torch.nn.functional.mse_loss(predicted.float(), noise.float())
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(trained, settings.max_grad_norm)
            adamw.step()
            adamw.zero_grad()
            wait(device.type)
            times.append(time.perf_counter() - began)
    return min(times[1:])


def wait(device: str) -> None:
    """Wait until the device is done."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def _trainable(denoiser: Any, profile: ProfileSettings) -> Any:
    """A copy whose parameters of the profile are trained, in float32."""
    import copy

    import torch
    from peft import LoraConfig

    unet = copy.deepcopy(denoiser).requires_grad_(requires_grad=False).train()
    if profile.trains == "lora":
        unet.add_adapter(
            LoraConfig(
                r=profile.rank, lora_alpha=profile.alpha, target_modules=list(profile.targets)
            )
        )
    else:
        unet.to(torch.float32)
    for name, parameter in unet.named_parameters():
        if {
            "lora": "lora_" in name,
            "cross-attention": ".attn2." in name,
            "denoiser": True,
        }[profile.trains]:
            parameter.data = parameter.data.to(torch.float32)
            parameter.requires_grad_(requires_grad=True)
    return unet
