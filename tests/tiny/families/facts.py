"""What a test needs to know of a family that is written out, not computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults


@dataclass(frozen=True)
class Published:
    """The structure of a published checkpoint: what decides size and sampling."""

    configs: Mapping[str, Mapping[str, Any]]
    side: int
    """Pixels that it was made for."""
    defaults: Defaults


@dataclass(frozen=True)
class Facts:
    """A tiny pipeline of random weights, and what is known of its family."""

    make: Callable[[], Any]
    name: str
    """The backbone's name in messages."""
    index: Mapping[str, Any]
    """The published model_index.json; structure only."""
    published: tuple[Published, ...]
    limits: Mapping[str, int]
    """The tokens that each text encoder reads."""
    lite: frozenset[str]
    """The layers that the lite profile adapts."""
    moderate: frozenset[str]
    """The parameters that the moderate profile trains."""
    learned: float
    """The loss after 25 steps of the standard profile is below this share of the loss before."""
    by_hand: Mapping[str, Any] = field(default_factory=dict)
    """What the pipeline is told when it is called by hand."""
    times: float = 1.0
    """The denoiser's times are this share of the scheduler's."""
    broken: tuple[str, str, Any, str] | None = None
    """A component, a key and a value of its config that contradict the others, and the sentence."""


def weights_and_biases(*layers: str) -> frozenset[str]:
    """Both tensors of each layer."""
    return frozenset(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias"))
