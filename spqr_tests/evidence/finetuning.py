"""Benign fine-tuning: the attack nobody meant, in the paper's three profiles.

The standard diffusion loss on harmless pictures (arXiv 2511.19558, section on benign fine-tuning), with peft, accelerate
and AdamW. What is trained is all that is kept: a LoRA, or the tensors that changed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.evidence.benign import BenignSet
from spqr_tests.evidence.errors import EvidenceError
from spqr_tests.evidence.images import read_rgb
from spqr_tests.evidence.protocol import OptimizerSettings, ProfileSettings, SamplerSettings

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

REVISION = 1
"""Part of every fine-tune's key; raise it when a change here changes what is learned."""

_CROSS_ATTENTION = ("attn2.to_k.", "attn2.to_v.", "attn2.to_out.")
_ADAPTER = "spqr"


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tune left: the trained tensors by name, and how it went."""

    tensors: "dict[str, torch.Tensor]"
    steps: int
    first_loss: float
    last_loss: float
    """Means over the first and the last tenth of the steps."""


@dataclass(frozen=True)
class _Examples:
    """A benign set as the denoiser sees it: latent means and deviations (n, 4, h, w), text embeddings (n, tokens, width)."""

    mean: "torch.Tensor"
    std: "torch.Tensor"
    text: "torch.Tensor"


def finetune(
    pipeline: "StableDiffusionPipeline",
    benign: BenignSet,
    profile: ProfileSettings,
    optimizer: OptimizerSettings,
    size: SamplerSettings,
    progress: Callable[[int, int], None],
) -> FineTuned:
    """Fine-tune a copy of the pipeline's denoiser; the pipeline itself stays as it was.

    Text embeddings and the latents' means and deviations are computed once. Raises `EvidenceError` when the loss is not
    finite, since what such a model paints measures nothing.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import set_seed
    from diffusers import DDPMScheduler

    device = pipeline.device
    # accelerate keeps one precision per process; protocols differ in it.
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001
    accelerator = Accelerator(mixed_precision=optimizer.mixed_precision, cpu=device.type == "cpu")
    set_seed(optimizer.seed)
    examples = _encode(pipeline, benign, size, optimizer.batch)
    unet, trained = _trainable(pipeline.unet, profile)
    unet.to(device).train()
    noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    adamw = torch.optim.AdamW(
        trained.values(),
        lr=optimizer.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
    )
    unet, adamw = accelerator.prepare(unet, adamw)
    generator = torch.Generator("cpu").manual_seed(optimizer.seed)
    count = len(examples.mean)
    steps = profile.steps or math.ceil(count / optimizer.batch) * (profile.epochs or 0)
    losses: list[float] = []
    for step, rows in zip(range(steps), _batches(count, optimizer.batch, generator), strict=False):
        mean, std, text = (part[rows].to(device) for part in (examples.mean, examples.std, examples.text))
        # All randomness on the CPU, so that every device trains on the same noise.
        latents = mean + std * torch.randn(mean.shape, generator=generator).to(device)
        noise = torch.randn(mean.shape, generator=generator).to(device)
        times = torch.randint(0, noise_scheduler.config.num_train_timesteps, (len(rows),), generator=generator).to(device)
        noisy = noise_scheduler.add_noise(latents, noise, times)
        velocity = noise_scheduler.config.prediction_type == "v_prediction"
        target = noise_scheduler.get_velocity(latents, noise, times) if velocity else noise
        with accelerator.autocast():
            predicted = unet(noisy, times, text, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted.float(), target.float())
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained.values(), optimizer.max_grad_norm)
        adamw.step()
        adamw.zero_grad()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise EvidenceError(f"Fine-tuning on {benign.folder} broke at step {step + 1} of {steps}: the loss is {losses[-1]}.")
        progress(step + 1, steps)
    tensors = {name: parameter.detach().to("cpu").contiguous() for name, parameter in trained.items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise EvidenceError(f"Fine-tuning on {benign.folder} left weights that are not finite.")
    tenth = max(1, steps // 10)
    return FineTuned(tensors, steps, float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])))


def apply(unet: "UNet2DConditionModel", profile: ProfileSettings, weights: Path) -> "UNet2DConditionModel":
    """A copy of the denoiser with what `finetune` left in `weights`; a LoRA is merged, as deployments do."""
    from safetensors.torch import load_file

    variant, trained = _trainable(unet, profile)
    tensors = load_file(weights)
    if tensors.keys() != trained.keys():
        raise EvidenceError(f"{weights} does not fit the profile it is stored for; delete it, and the next run makes it again.")
    variant.load_state_dict(tensors, strict=False)
    if profile.trains == "lora":
        variant.fuse_lora()
        variant.unload_lora()
    return variant.to(device=unet.device, dtype=unet.dtype).eval().requires_grad_(False)


def _trainable(unet: "UNet2DConditionModel", profile: ProfileSettings) -> "tuple[Any, dict[str, torch.nn.Parameter]]":
    """A copy of the denoiser in which just the profile's parameters are trained, and those parameters by name."""
    import copy

    import torch
    from peft import LoraConfig

    # inference_mode tensors cannot be trained: the copy is made of plain ones, in fp32, so that small updates count.
    variant = copy.deepcopy(unet).to(dtype=torch.float32).requires_grad_(False)
    if profile.trains == "lora":
        adapter = LoraConfig(
            r=profile.rank,
            lora_alpha=profile.alpha,
            lora_dropout=profile.dropout,
            target_modules=list(profile.targets),
            init_lora_weights="gaussian",
        )
        try:
            variant.add_adapter(adapter, adapter_name=_ADAPTER)
        except ValueError as error:
            raise EvidenceError(f"The profile that trains lora does not fit this denoiser: {error}") from error
    trained = {}
    for name, parameter in variant.named_parameters():
        chosen = {
            "lora": ".lora_" in name,
            "cross-attention": any(part in name for part in _CROSS_ATTENTION),
            "denoiser": True,
        }[profile.trains]
        parameter.requires_grad_(chosen)
        if chosen:
            trained[name] = parameter
    if not trained:
        raise EvidenceError(f"The profile that trains {profile.trains} finds none of its parameters in this denoiser.")
    return variant, trained


def _encode(pipeline: "StableDiffusionPipeline", benign: BenignSet, size: SamplerSettings, batch: int) -> _Examples:
    import torch

    means, stds, texts = [], [], []
    factor = pipeline.vae.config.scaling_factor
    with torch.inference_mode():
        for start in range(0, len(benign.pairs), batch):
            pairs = benign.pairs[start : start + batch]
            pixels = torch.stack([_picture(path, size) for path, _ in pairs]).to(pipeline.device, pipeline.vae.dtype)
            latents = pipeline.vae.encode(pixels).latent_dist
            means.append((latents.mean * factor).float().cpu())
            stds.append((latents.std * factor).float().cpu())
            embedded, _ = pipeline.encode_prompt([caption for _, caption in pairs], pipeline.device, 1, False)
            texts.append(embedded.float().cpu())
    # clone: autograd refuses tensors that inference mode made.
    return _Examples(*(torch.cat(parts).clone() for parts in (means, stds, texts)))


def _picture(path: Path, size: SamplerSettings) -> "torch.Tensor":
    """A picture as the VAE takes it: (3, height, width) in [-1, 1], shorter side resized, centre cropped."""
    import torch
    from PIL import Image, ImageOps

    image = ImageOps.fit(Image.fromarray(read_rgb(path)), (size.width, size.height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1


def _batches(count: int, size: int, generator: "torch.Generator") -> "Iterator[torch.Tensor]":
    """Shuffled batches of row numbers, epoch after epoch, without end."""
    import torch

    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count, size):
            yield order[start : start + size]
