"""Benign fine-tuning: the attack nobody meant, in the paper's three profiles.

The backbone's own loss on harmless pictures (arXiv 2511.19558, section on benign fine-tuning), with
peft, accelerate and AdamW. What is trained is all that is kept: a LoRA, or the tensors that
changed.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.checkpoint import packed
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.errors import DivergedError, EvidenceError
from spqr_tests.generation import lora, objectives, optimizers
from spqr_tests.generation import text_encoder_training as text_encoders
from spqr_tests.generation.batch_loss import BatchLoss
from spqr_tests.generation.batches import Batches
from spqr_tests.generation.examples import Examples, encode
from spqr_tests.generation.schedules import Schedule
from spqr_tests.generation.text_encoder_training import TextEncoders
from spqr_tests.generation.training_state import Keeper, Training
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store import memory
from spqr_tests.store.computing import repeatable

if TYPE_CHECKING:
    import torch

REVISION = 3
"""Part of every fine-tune's key; raise it when a change here changes what is learned."""

__all__ = ["Examples", "FineTuned", "apply", "encode", "finetune", "steps_of", "trainable"]


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tune left: the trained tensors by name, and how it went."""

    tensors: "dict[str, torch.Tensor]"
    steps: int
    first_loss: float
    last_loss: float
    """Means over the first and the last tenth of the steps."""


Keep = Callable[[FineTuned], None]


@dataclass(frozen=True)
class _Keeping:
    """What is kept while a training goes on: its state, and what it leaves at some steps."""

    state: Keeper | None
    on_the_way: Mapping[int, Keep]


def steps_of(profile: ProfileSettings, optimizer: OptimizerSettings, pictures: int) -> int:
    """The steps of a profile on a set of so many pictures; `optimizer` is what profiles share.

    The last batch of an epoch may be short, and its last step may have fewer batches.
    """
    return profile.steps or _steps_an_epoch(profile, optimizer, pictures) * (profile.epochs or 0)


def _steps_an_epoch(profile: ProfileSettings, optimizer: OptimizerSettings, pictures: int) -> int:
    batches = math.ceil(rows_of(profile, pictures) / profile.optimizer_of(optimizer).batch)
    return math.ceil(batches / (profile.accumulation or 1))


def seen(profile: ProfileSettings, optimizer: OptimizerSettings, pictures: int) -> int:
    """The examples of all steps, the class's images among them; arguments as of `steps_of`."""
    rows = rows_of(profile, pictures)
    steps = steps_of(profile, optimizer, pictures)
    epochs, rest = divmod(steps, _steps_an_epoch(profile, optimizer, pictures))
    step = profile.optimizer_of(optimizer).batch * (profile.accumulation or 1)
    count = epochs * rows + min(rows, rest * step)
    return count * (1 if profile.prior is None else 2)


def rows_of(profile: ProfileSettings, pictures: int) -> int:
    """The rows of an epoch: the pictures, or the class's images where those are more."""
    return pictures if profile.prior is None else max(pictures, profile.prior.images)


def finetune(
    pipeline: Any,
    backbone: Backbone,
    examples: Examples,
    profile: ProfileSettings,
    optimizer: OptimizerSettings,
    size: tuple[int, int],
    progress: Callable[[int, int], None],
    keeper: Keeper | None = None,
    on_the_way: Mapping[int, Keep] | None = None,
) -> FineTuned:
    """Fine-tune a copy of the pipeline's denoiser on examples of pictures of `size`.

    `optimizer` is what all profiles share; what this one states goes before it. The pipeline itself
    stays as it was. With a `keeper`, an interrupted training goes on from the state that was kept
    last, and the result is the same to the last bit. `on_the_way` is told, by step, what a training
    that ends there leaves, as soon as the step is done.

    Where memory does not suffice, it is started again from its seed with gradient checkpointing,
    which costs time and changes nothing else. Raises `EvidenceError` when that does not suffice
    either, when the loss is not finite, since the images of such a model measure nothing, and when
    a parameter changed that the profile does not train.
    """
    optimizer = profile.optimizer_of(optimizer)
    for checkpointing in (False, True):
        if checkpointing:
            memory.release()
        try:
            with repeatable(pipeline.device.type):
                return _train(
                    pipeline,
                    backbone,
                    examples,
                    profile,
                    optimizer,
                    size,
                    progress,
                    _Keeping(keeper, on_the_way or {}),
                    checkpointing=checkpointing,
                )
        except RuntimeError as error:  # torch's OutOfMemoryError is one
            if not memory.exhausted(error):
                raise
            reason = memory.reason(error)
        finally:
            # accelerate ties the model and the optimizer in circles, which Python would leave in
            # the way of the next images until it happens to collect them. A CPU's memory can wait.
            if pipeline.device.type != "cpu":
                memory.release()
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
    keeping: _Keeping,
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
    accelerator = Accelerator(
        mixed_precision=optimizer.mixed_precision,
        cpu=device.type == "cpu",
        # It would move the model to the first card, whichever was asked for.
        device_placement=False,
    )
    set_seed(optimizer.seed)
    original = getattr(pipeline, backbone.denoiser)
    objective = objectives.choose(
        pipeline.scheduler,
        patch=backbone.patch,
        min_snr_gamma=optimizer.min_snr_gamma,
        noise_offset=profile.noise_offset,
        times=profile.times or backbone.times,
    )
    # Without autocast, layers of several precisions would not fit together.
    frozen = original.dtype if accelerator.native_amp else torch.float32
    denoiser, trained = trainable(original, backbone, profile, frozen=frozen)
    encoders = TextEncoders(pipeline, backbone, profile, frozen=frozen)
    if checkpointing:
        denoiser.enable_gradient_checkpointing()
    denoiser.to(device).train()
    encoders.train(checkpointing=checkpointing)
    groups = encoders.groups(trained, optimizer)
    trained |= encoders.trained
    adamw = optimizers.make(groups, profile, optimizer, device)
    denoiser, adamw = accelerator.prepare(denoiser, adamw)
    average = (
        EMAModel(trained.values(), decay=optimizer.ema_decay)
        if optimizer.ema_decay is not None
        else None
    )
    generator = torch.Generator("cpu").manual_seed(optimizer.seed)
    count = len(examples.mean)
    steps = steps_of(profile, optimizer, count)
    schedule = Schedule(profile, adamw.optimizer, steps, _steps_an_epoch(profile, optimizer, count))
    batches = Batches(rows_of(profile, count), optimizer.batch, generator)
    taught = BatchLoss(
        backbone, denoiser, encoders, objective, profile, examples, size, generator, device
    )
    training = Training(trained, adamw.optimizer, average, accelerator.scaler, generator, device)
    first = min(keeping.on_the_way, default=steps)
    losses = training.resumed(keeping.state, batches, first, checkpointing=checkpointing)

    def left() -> FineTuned:
        _require_frozen(original, denoiser, text_encoders.belonging(trained, None))
        encoders.require_frozen(_require_frozen)
        values = trained.values() if average is None else average.shadow_params
        return _left(examples.folder, dict(zip(trained, values, strict=True)), losses)

    for step in range(len(losses), steps):
        schedule.begin(step)
        losses.append(taught.step(batches, accelerator))
        accelerator.clip_grad_norm_(trained.values(), optimizer.max_grad_norm)
        adamw.step()
        adamw.zero_grad()
        if average is not None:
            average.step(trained.values())
        if not math.isfinite(losses[-1]):
            raise DivergedError(
                f"Fine-tuning on {examples.folder} broke at step {step + 1} of {steps}: the loss is"
                f" {losses[-1]}."
            )
        if step + 1 in keeping.on_the_way:
            keeping.on_the_way[step + 1](left())
        if keeping.state is not None and keeping.state.due and step + 1 < steps:
            keeping.state.keep(training.state(batches, losses, checkpointing=checkpointing))
        progress(step + 1, steps)
    return left()


def _left(
    folder: Path, trained: "Mapping[str, torch.Tensor]", losses: Sequence[float]
) -> FineTuned:
    """What a training that ends now leaves; the tensors may change with its next step."""
    tensors = {name: one.detach().to("cpu").contiguous() for name, one in trained.items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise DivergedError(f"Fine-tuning on {folder} left weights that are not finite.")
    tenth = max(1, len(losses) // 10)
    means = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    return FineTuned(tensors, len(losses), *means)


def apply(
    denoiser: Any,
    backbone: Backbone,
    profile: ProfileSettings,
    tensors: "Mapping[str, torch.Tensor]",
) -> Any:
    """A copy of the denoiser with the tensors that `finetune` left of it.

    A LoRA is merged, as deployments do.
    """
    tensors = text_encoders.belonging(tensors, None)
    variant, trained = trainable(denoiser, backbone, profile, frozen=denoiser.dtype)
    if tensors.keys() != trained.keys():
        raise EvidenceError(
            "The stored weights of a fine-tune do not fit the profile that they are stored for:"
            f" {min(tensors.keys() ^ trained.keys())} is on one side alone."
        )
    variant.load_state_dict(tensors, strict=False)
    # Beside packed weights an adapter stays: merged, the sum would be rounded to integers anew.
    if profile.trains == "lora" and not packed.is_packed(denoiser):
        lora.merge_denoiser(variant)
    variant.to(device=denoiser.device)
    return packed.cast(variant, denoiser.dtype).eval().requires_grad_(False)


def trainable(
    denoiser: Any, backbone: Backbone, profile: ProfileSettings, *, frozen: "torch.dtype"
) -> "tuple[Any, dict[str, torch.nn.Parameter]]":
    """A copy of the denoiser, ready for training, and the profile's parameters by name.

    Only those are trained.

    They are float32, so that small updates count; the others have the dtype `frozen`.
    """
    import torch

    # Tensors of inference mode cannot be trained: the copy is made of plain ones.
    variant = packed.cast(copy.deepcopy(denoiser), frozen).requires_grad_(False)
    if profile.trains == "lora":
        lora.add_to_denoiser(variant, profile, backbone.fused)
    trained = {}
    for name, parameter in variant.named_parameters():
        chosen = {
            "lora": ".lora_" in name,
            "cross-attention": backbone.brings_text(name),
            "denoiser": True,
            "embedding": False,
        }[profile.trains]
        parameter.requires_grad_(chosen)
        if chosen:
            parameter.data = parameter.data.to(torch.float32)
            trained[name] = parameter
    if not trained and profile.trains != "embedding":
        raise EvidenceError(
            f"The profile that trains {profile.trains} finds none of its parameters in this"
            " denoiser."
        )
    return variant, trained


def _require_frozen(original: Any, denoiser: Any, trained: "Mapping[str, torch.Tensor]") -> None:
    """Require that nothing but what was trained differs from the checkpoint, not even in one bit.

    Raises `EvidenceError` otherwise.
    """
    # An adapter wraps a layer, whose own weights move one name further in.
    state = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in denoiser.state_dict().items()
        if name not in trained
    }
    for name, tensor in original.state_dict().items():
        if name in state and not packed.same(state[name], tensor):
            raise EvidenceError(
                f"Fine-tuning changed {name}, which its profile does not train; what it left is not"
                " kept."
            )
    missing = original.state_dict().keys() - state.keys() - trained.keys()
    if missing:
        raise EvidenceError(f"Fine-tuning lost {min(missing)}; what it left is not kept.")
