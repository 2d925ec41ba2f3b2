"""Text encoders on the meta device, which answer a pipeline with zeros on the CPU.

What a pipeline does with an answer depends on numbers (where a prompt ends), of which the meta
device has none. What an encoder computes is counted there all the same.
"""

import copy
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def answering(pipeline: Any) -> Any:
    """A copy of a pipeline on the meta device, whose text encoders answer with zeros."""
    other = copy.copy(pipeline)
    for name, component in pipeline.components.items():
        if name.startswith("text_encoder") and component is not None:
            # Not by register_modules, which asks for a model.
            other.__dict__[name] = _Answering(component)
    return other


class _Answer:
    """An encoder's output, as far as pipelines look into it."""

    def __init__(self, made: Any) -> None:
        self.hidden_states = tuple(_zeros(one) for one in made.get("hidden_states") or ())
        last = made.get("last_hidden_state")
        self.last_hidden_state = self.hidden_states[-1] if last is None else _zeros(last)

    def __getitem__(self, position: int) -> "torch.Tensor":
        if position != 0:
            raise IndexError(position)
        return self.last_hidden_state


class _Answering:
    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def __call__(self, input_ids: "torch.Tensor", **options: Any) -> _Answer:
        # What a mask masks is another question about numbers, and so is whether prompts are packed,
        # which is only asked without a cache.
        del options["attention_mask"]
        if "use_cache" in inspect.signature(self._encoder.forward).parameters:
            options["use_cache"] = True
        return _Answer(self._encoder(input_ids.to("meta"), **options))


def _zeros(tensor: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.zeros(tensor.shape, dtype=tensor.dtype)
