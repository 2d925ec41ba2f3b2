"""The memory that generating and fine-tuning take at their peak, from configs alone.

The code that generates and trains runs on the meta device, whose tensors have sizes but no numbers,
and the bytes of all tensors alive at once are added up. What libraries need besides is a factor
that was measured.
"""

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from spqr_tests.checkpoint import loading
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.planning.flops import Flops, without_budget
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings

_WORKSPACE = 1.28
"""Tensors alive, times this, is what was allocated.

Measured on an H100 with random weights of the sizes of Stable Diffusion 1.5 and XL and FLUX.1:
1.25 to 1.35 for decoding, 1.19 to 1.32 for training in float16.
"""
_ADAM = 8
"""Bytes of AdamW's two moments of a parameter; the gradient has 4."""


class Memory:
    """Bytes at the peak of each stage for one checkpoint; `settings` are resolved."""

    def __init__(self, parts: Parts, settings: SamplerSettings, flops: Flops) -> None:
        import torch

        self._parts, self._settings, self._flops = parts, settings, flops
        self._dtype: Any = getattr(torch, settings.dtype)
        self._bytes = torch.empty((), dtype=self._dtype, device="meta").element_size()

    @property
    def weights(self) -> int:
        """Of all models of the pipeline, in the sampler's dtype; packed ones as they are stored."""
        packed = [one for one in self._parts.models.values() if one.quantisation and one.tensors]
        saved = sum(self._bytes * one.parameters - one.stored_bytes for one in packed)
        return self._bytes * self._flops.all_parameters - saved

    def generation(self) -> int:
        """Of generating a micro-batch: the larger of a denoising step and decoding."""
        return self._flops.once("memory of generating", self._generation)

    def _generation(self) -> int:
        import torch

        pipeline = loading.skeleton(self._parts)
        models = [getattr(pipeline, name) for name in self._parts.models]
        for model in models:
            model.to(self._dtype)
        with torch.no_grad():
            peak = max(_peak(work, models) for work in self._flops.stages_of(pipeline, self._dtype))
        return self.weights + round(_WORKSPACE * peak)

    def training(
        self, profile: ProfileSettings, shared: OptimizerSettings, *, checkpointing: bool = False
    ) -> int:
        """Of a training step, beside the pipeline; raises as `Flops.training` does.

        `checkpointing` recomputes activations in the backward pass: what a training does that does
        not fit without it.
        """
        asked = f"memory of {without_budget(profile)} {shared.model_dump_json()} {checkpointing}"
        return self._flops.once(
            asked, lambda: self._training(profile, shared, checkpointing=checkpointing)
        )

    def _training(
        self, profile: ProfileSettings, shared: OptimizerSettings, *, checkpointing: bool
    ) -> int:
        optimizer = profile.optimizer_of(shared)
        step, models, trained = self._flops.training_step(
            profile, self.batch(profile, shared), checkpointing=checkpointing
        )
        count = sum(one.numel() for one in trained)
        frozen = sum(one.numel() for model in models for one in model.parameters()) - count
        # What is trained is float32; the gradients are part of the peak.
        mixed = optimizer.mixed_precision != "no"
        tensors = _peak(step, models) - 4 * count
        for one in trained:
            one.grad = None
        held = (self._bytes if mixed else 4) * frozen + (4 + 4 + _ADAM) * count
        if optimizer.ema_decay is not None:
            held += 4 * count
        return int(self.weights + held) + round(_WORKSPACE * tensors * (0.5 if mixed else 1))

    @staticmethod
    def batch(profile: ProfileSettings, shared: OptimizerSettings) -> int:
        """Pictures that are in memory at once in a training step, with prior preservation's."""
        return profile.optimizer_of(shared).batch * (1 if profile.prior is None else 2)


def _peak(work: Callable[[], Any], models: Iterable[Any]) -> int:
    """The bytes of the tensors alive at once in `work`, without the weights of `models`."""
    # What only the collector frees is held on a device as well, until it happens to run.
    gc.collect()
    gc.disable()
    try:
        with _alive(models) as alive, _fused_attention():
            work()
    finally:
        gc.enable()
    return int(alive.peak)


def _alive(models: Iterable[Any]) -> Any:
    """A mode that follows the bytes of all tensors; `peak` is the most at once."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Alive(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.peak = self._now = 0
            # Weights are counted apart; their storages are seen again as views.
            self._known: dict[int, Any] = {
                _address(tensor.untyped_storage()): None
                for model in models
                for tensor in (*model.parameters(), *model.buffers())
            }

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            for one in tree_leaves(made):
                if isinstance(one, torch.Tensor):
                    self._take(one.untyped_storage())
            return made

        def _take(self, storage: Any) -> None:
            key, size = _address(storage), storage.nbytes()
            if key in self._known:
                return

            def gone(_: object) -> None:
                self._now -= size
                self._known.pop(key, None)

            self._known[key] = weakref.ref(storage, gone)
            self._now += size
            self.peak = max(self.peak, self._now)

    return Alive()


def _address(storage: Any) -> int:
    """Of the storage itself: on the meta device, none has data of its own."""
    return int(storage._cdata)  # noqa: SLF001  torch has no other name for it


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Attention that keeps inputs and output, as devices compute it.

    The meta device would hold all scores at once. A mode would not do: the backward pass of a
    checkpointed block runs outside of it.
    """
    import torch
    from torch.nn import functional

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
            ctx.save_for_backward(query, key, value, query.new_empty(query.shape))
            return query.new_empty(*query.shape[:-1], value.shape[-1])

        @staticmethod
        def backward(ctx: Any, *_: Any) -> Any:
            return tuple(torch.empty_like(one) for one in ctx.saved_tensors[:3])

    def fused(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
        return Attention.apply(query, key, value)

    real = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = real
