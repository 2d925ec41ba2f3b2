"""Families of backbones with something to train on."""

from collections.abc import Callable
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.data.pictures import BenignSet
from spqr_tests.generation import finetuning
from spqr_tests.generation.finetuning import FineTuned
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from tests.tiny import silent
from tests.tiny.backbones import SIDE, backbone_of, make

SIZE = (SIDE, SIDE)


LITE = ProfileSettings(trains="lora", steps=2)


MODERATE = ProfileSettings(trains="cross-attention", steps=2)


STANDARD = ProfileSettings(trains="denoiser", steps=2)


class Family:
    """A backbone's pipeline, its backbone, and the benign set as its denoiser sees it."""

    def __init__(self, name: str, benign_set: BenignSet, pipeline: Any = None) -> None:
        import torch

        torch.set_num_threads(1)
        self.name = name
        self.pipeline = make(name) if pipeline is None else pipeline
        self.backbone = backbone_of(self.pipeline)
        self.examples = finetuning.encode(
            self.pipeline, self.backbone, benign_set, SIZE, 4, with_empty=True
        )

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipeline, self.backbone.denoiser)

    def finetune(
        self, profile: ProfileSettings, backbone: Backbone | None = None, **changed: Any
    ) -> FineTuned:
        optimizer = OptimizerSettings(
            **{"learning_rate": 1e-2, "batch": 4, "mixed_precision": "no"} | changed
        )
        return finetuning.finetune(
            self.pipeline,
            backbone or self.backbone,
            self.examples,
            profile,
            optimizer,
            SIZE,
            self.progress,
        )

    progress: Callable[[int, int], None] = staticmethod(silent)

    def state(self) -> dict[str, Any]:
        """Every tensor of the pipeline's models."""
        return {
            f"{name}.{key}": tensor.clone()
            for name, part in self.pipeline.components.items()
            if hasattr(part, "state_dict")
            for key, tensor in part.state_dict().items()
        }


def _differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    import torch

    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}
