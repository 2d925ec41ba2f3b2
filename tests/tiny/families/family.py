"""What the tests of a family know of it, from its authors' and diffusers' files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults

Options = Callable[[float], dict[str, Any]]


@dataclass(frozen=True)
class TinyFamily:
    """A tiny pipeline of a family, and what is expected of the family."""

    make: Callable[[], Any]
    index: Mapping[str, Any]
    """The published model_index.json; structure only."""
    published: Mapping[str, Mapping[str, Any]]
    """The published configs that decide size and defaults, by component."""
    side: int
    """Of its authors' square images, in pixels."""
    defaults: Mapping[str, tuple[Mapping[str, Mapping[str, Any]], Defaults]]
    """By a model's name: what its configs say otherwise, and how its authors sample it."""
    options: Options
    """The pipeline's own arguments for a guidance scale."""
    unguided: float
    guided: float
    cross_attention: frozenset[str]
    """The parameters that the moderate profile trains."""
    adapted: frozenset[str]
    """The layers that the lite profile adapts."""
    unused: tuple[str, ...] = ()
    """Starts of the names of parameters on which no image depends, such as the last text stream."""
    tokenizer: str = "tokenizer"
    """The one whose prompts may be too long."""
    limit: int = 512
    """Tokens of a prompt that the denoiser is given."""
    levels: str = "uniform"
    """How training draws noise levels of the scheduler: 'uniform' or 'logit-normal'."""
    older: Callable[[Path], None] | None = None
    """Writes a folder again as an older version of the libraries, or another publisher, has it."""
