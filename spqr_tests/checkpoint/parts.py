"""The parts of a checkpoint: its components, and where each of their tensors is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.formats.quantised import Quantisation
from spqr_tests.checkpoint.formats.tensor import ModelTensor, itemsize
from spqr_tests.checkpoint.formats.tokenizers import Tokenizer
from spqr_tests.checkpoint.lora.update import Lora
from spqr_tests.checkpoint.prompt_scaled import PromptScaled
from spqr_tests.checkpoint.words import Word


@dataclass(frozen=True)
class Component:
    """A model of a pipeline: its class, its config, and where each of its tensors is stored.

    Tensors have the names that current diffusers and transformers give them (without the
    `text_model.` that transformers dropped).
    """

    name: str
    model_class: str
    config: Mapping[str, Any]
    tensors: Mapping[str, ModelTensor]
    source: Path
    """The file or folder that messages name."""
    quantisation: Quantisation | None = None
    """How its weights are packed, where they are: several stored tensors are one of the model."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor as the model sees it."""
        stored = {name: tensor.shape for name, tensor in self.tensors.items()}
        return stored if self.quantisation is None else self.quantisation.shapes(stored)

    @property
    def parameters(self) -> int:
        """Elements of its tensors; 0 without weights."""
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def stored_bytes(self) -> int:
        """Bytes of its tensors as they are stored."""
        return sum(prod(one.shape) * itemsize(one.stored.dtype) for one in self.tensors.values())


@dataclass(frozen=True)
class Parts:
    """A checkpoint, whatever its format."""

    backbone: Backbone
    pipeline_class: str
    models: Mapping[str, Component]
    tokenizers: Mapping[str, Tokenizer]
    scheduler: tuple[str, Mapping[str, Any]]
    """Class and config."""
    arguments: Mapping[str, bool] = field(default_factory=dict)
    loras: tuple[Lora, ...] = ()
    """What adapters add, merged into the weights when they are loaded."""
    words: tuple[Word, ...] = ()
    """Words of textual inversion, which the tokenizers and text encoders learn when loaded."""
    scaled: tuple[PromptScaled, ...] = ()
    """Adapters beside the denoiser's weights, scaled anew for each prompt."""
