"""Benign fine-tuning: the attack nobody meant, in the paper's three profiles.

The backbone's own loss on harmless pictures (arXiv 2511.19558, section on benign fine-tuning), with
peft, accelerate and AdamW. What is trained is all that is kept: a LoRA, or the tensors that
changed.
"""

import copy
import gc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.loading import require_finite
from spqr_tests.data.pictures import BenignSet
from spqr_tests.errors import DivergedError, EvidenceError
from spqr_tests.generation import objectives
from spqr_tests.generation.batches import Batches
from spqr_tests.generation.training_state import Keeper, Training
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store.pictures import KnownPicture

if TYPE_CHECKING:
    import torch

REVISION = 2
"""Part of every fine-tune's key; raise it when a change here changes what is learned."""

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
class Examples:
    """A benign set as the denoiser sees it, on the CPU."""

    folder: Path
    mean: "torch.Tensor"
    std: "torch.Tensor"
    """Of the latents (n, channels, rows, columns), float32."""
    text: "Mapping[str, torch.Tensor]"
    """Embeddings of the captions, each once, in the pipeline's dtype: T5's take 4 MB a caption even
    so.
    """
    captions: "torch.Tensor"
    """The row of `text` for each picture (n,)."""

    def batch(
        self, rows: "torch.Tensor", device: "torch.device"
    ) -> "tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]":
        """Mean, deviation and text of these pictures, float32, on the device."""
        text = {
            name: tensor[self.captions[rows]].to(device).float()
            for name, tensor in self.text.items()
        }
        return self.mean[rows].to(device), self.std[rows].to(device), text


def encode(
    pipeline: Any, backbone: Backbone, benign: BenignSet, size: tuple[int, int], batch: int
) -> Examples:
    """The examples of a benign set that every profile is trained on.

    Pictures are of `size` (height, width).

    Raises `EvidenceError` for a picture that cannot be read, and for embeddings or latents that are
    not finite.
    """
    import torch

    means, stds, texts = [], [], []
    known = {picture.path: picture for picture in benign.known}
    captions = list(dict.fromkeys(caption for _, caption in benign.pairs))
    with torch.inference_mode():
        for start in range(0, len(benign.pairs), batch):
            pixels = torch.stack(
                [_picture(known[path], size) for path, _ in benign.pairs[start : start + batch]]
            )
            mean, std = backbone.encode(pipeline, pixels.to(pipeline.device))
            means.append(mean.cpu())
            stds.append(std.cpu())
        for start in range(0, len(captions), batch):
            embedded = backbone.embed(pipeline, captions[start : start + batch])
            texts.append({name: tensor.cpu() for name, tensor in embedded.items()})
    # clone: autograd refuses tensors that inference mode made.
    mean, std = torch.cat(means).clone(), torch.cat(stds).clone()
    text = {name: torch.cat([part.pop(name) for part in texts]).clone() for name in list(texts[0])}
    for what, tensor in (("mean", mean), ("deviation", std), *text.items()):
        require_finite(tensor, f"The {what} of the encoded set {benign.folder}")
    row = {caption: number for number, caption in enumerate(captions)}
    return Examples(
        benign.folder, mean, std, text, torch.tensor([row[caption] for _, caption in benign.pairs])
    )


def steps_of(profile: ProfileSettings, optimizer: OptimizerSettings, pictures: int) -> int:
    """The steps of a profile on a set of so many pictures.

    The last batch of an epoch may be short.
    """
    return profile.steps or math.ceil(pictures / optimizer.batch) * (profile.epochs or 0)


def finetune(
    pipeline: Any,
    backbone: Backbone,
    examples: Examples,
    profile: ProfileSettings,
    optimizer: OptimizerSettings,
    size: tuple[int, int],
    progress: Callable[[int, int], None],
    keeper: Keeper | None = None,
) -> FineTuned:
    """Fine-tune a copy of the pipeline's denoiser on examples of pictures of `size`.

    The pipeline itself stays as it was. With a `keeper`, an interrupted training goes on from the
    state that was kept last, and the result is the same to the last bit.

    Where memory does not suffice, it is started again from its seed with gradient checkpointing,
    which costs time and changes nothing else. Raises `EvidenceError` when that does not suffice
    either, when the loss is not finite, since the images of such a model measure nothing, and when
    a parameter changed that the profile does not train.
    """
    import torch

    for checkpointing in (False, True):
        try:
            return _train(
                pipeline,
                backbone,
                examples,
                profile,
                optimizer,
                size,
                progress,
                keeper,
                checkpointing=checkpointing,
            )
        except torch.OutOfMemoryError as error:
            reason = str(error).partition("\n")[0]
        # Outside of the handler: the error holds the frames of what failed, and they their memory.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    raise EvidenceError(
        f"Fine-tuning on {examples.folder} by the profile that trains {profile.trains} does not fit"
        " into memory, not even with gradient checkpointing; set a smaller finetuning.batch, leave"
        f" the profile out, or take a bigger card ({reason})."
    )


def _train(
    pipeline: Any,
    backbone: Backbone,
    examples: Examples,
    profile: ProfileSettings,
    optimizer: OptimizerSettings,
    size: tuple[int, int],
    progress: Callable[[int, int], None],
    keeper: Keeper | None,
    *,
    checkpointing: bool,
) -> FineTuned:
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import set_seed
    from diffusers.training_utils import EMAModel

    device = pipeline.device
    # accelerate keeps one precision per process; protocols differ in it.
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001
    accelerator = Accelerator(mixed_precision=optimizer.mixed_precision, cpu=device.type == "cpu")
    set_seed(optimizer.seed)
    original = getattr(pipeline, backbone.denoiser)
    objective = objectives.choose(
        pipeline.scheduler, patch=backbone.patch, min_snr_gamma=optimizer.min_snr_gamma
    )
    # Without autocast, layers of several precisions would not fit together.
    denoiser, trained = trainable(
        original,
        backbone,
        profile,
        frozen=original.dtype if accelerator.native_amp else torch.float32,
    )
    if checkpointing:
        denoiser.enable_gradient_checkpointing()
    denoiser.to(device).train()
    adamw = torch.optim.AdamW(
        trained.values(),
        lr=optimizer.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
    )
    denoiser, adamw = accelerator.prepare(denoiser, adamw)
    average = (
        EMAModel(trained.values(), decay=optimizer.ema_decay)
        if optimizer.ema_decay is not None
        else None
    )
    generator = torch.Generator("cpu").manual_seed(optimizer.seed)
    count = len(examples.mean)
    steps = steps_of(profile, optimizer, count)
    batches = Batches(count, optimizer.batch, generator)
    training = Training(trained, adamw.optimizer, average, accelerator.scaler, generator, device)
    losses = training.resumed(keeper, batches, checkpointing=checkpointing)
    for step in range(len(losses), steps):
        mean, std, text = examples.batch(batches.draw(), device)
        latents = mean + std * torch.randn(mean.shape, generator=generator).to(device)
        lesson = objective.lesson(latents, generator)
        with accelerator.autocast():
            predicted = backbone.predict(denoiser, lesson.noisy, lesson.times, text, size)
        loss = lesson.loss(predicted)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained.values(), optimizer.max_grad_norm)
        adamw.step()
        adamw.zero_grad()
        if average is not None:
            average.step(trained.values())
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise DivergedError(
                f"Fine-tuning on {examples.folder} broke at step {step + 1} of {steps}: the loss is"
                f" {losses[-1]}."
            )
        if keeper is not None and keeper.due and step + 1 < steps:
            keeper.keep(training.state(batches, losses, checkpointing=checkpointing))
        progress(step + 1, steps)
    if average is not None:
        average.copy_to(trained.values())
    _require_frozen(original, denoiser, trained)
    tensors = {
        name: parameter.detach().to("cpu").contiguous() for name, parameter in trained.items()
    }
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise DivergedError(f"Fine-tuning on {examples.folder} left weights that are not finite.")
    tenth = max(1, steps // 10)
    return FineTuned(
        tensors, steps, float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    )


def apply(
    denoiser: Any,
    backbone: Backbone,
    profile: ProfileSettings,
    tensors: "Mapping[str, torch.Tensor]",
) -> Any:
    """A copy of the denoiser with the tensors that `finetune` left.

    A LoRA is merged, as deployments do.
    """
    variant, trained = trainable(denoiser, backbone, profile, frozen=denoiser.dtype)
    if tensors.keys() != trained.keys():
        raise EvidenceError(
            "The stored weights of a fine-tune do not fit the profile that they are stored for:"
            f" {min(tensors.keys() ^ trained.keys())} is on one side alone."
        )
    variant.load_state_dict(tensors, strict=False)
    if profile.trains == "lora":
        variant.fuse_lora()
        variant.unload_lora()
    return variant.to(device=denoiser.device, dtype=denoiser.dtype).eval().requires_grad_(False)


def trainable(
    denoiser: Any, backbone: Backbone, profile: ProfileSettings, *, frozen: "torch.dtype"
) -> "tuple[Any, dict[str, torch.nn.Parameter]]":
    """A copy of the denoiser, ready for training, and the profile's parameters by name.

    Only those are trained.

    They are float32, so that small updates count; the others have the dtype `frozen`.
    """
    import torch
    from peft import LoraConfig

    # Tensors of inference mode cannot be trained: the copy is made of plain ones.
    variant = copy.deepcopy(denoiser).to(dtype=frozen).requires_grad_(False)
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
            raise EvidenceError(
                f"The profile that trains lora does not fit this denoiser: {error}"
            ) from error
    trained = {}
    for name, parameter in variant.named_parameters():
        chosen = {
            "lora": ".lora_" in name,
            "cross-attention": any(f".{part}." in f".{name}" for part in backbone.cross_attention),
            "denoiser": True,
        }[profile.trains]
        parameter.requires_grad_(chosen)
        if chosen:
            parameter.data = parameter.data.to(torch.float32)
            trained[name] = parameter
    if not trained:
        raise EvidenceError(
            f"The profile that trains {profile.trains} finds none of its parameters in this"
            " denoiser."
        )
    return variant, trained


def _require_frozen(original: Any, denoiser: Any, trained: "Mapping[str, torch.Tensor]") -> None:
    """Require that nothing but what was trained differs from the checkpoint, not even in one bit.

    Raises `EvidenceError` otherwise.
    """
    import torch

    # An adapter wraps a layer, whose own weights move one name further in.
    state = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in denoiser.state_dict().items()
        if name not in trained
    }
    for name, tensor in original.state_dict().items():
        if name in state and not torch.equal(state[name], tensor.to(state[name].dtype)):
            raise EvidenceError(
                f"Fine-tuning changed {name}, which its profile does not train; what it left is not"
                " kept."
            )
    missing = original.state_dict().keys() - state.keys() - trained.keys()
    if missing:
        raise EvidenceError(f"Fine-tuning lost {min(missing)}; what it left is not kept.")


def _picture(picture: KnownPicture, size: tuple[int, int]) -> "torch.Tensor":
    """A picture as the VAE takes it: (3, height, width) in [-1, 1].

    The shorter side is resized, the centre cropped.
    """
    import torch
    from PIL import Image, ImageOps

    image = ImageOps.fit(Image.fromarray(picture.pixels()), size[::-1], Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1
