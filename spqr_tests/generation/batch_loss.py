"""The loss of one batch: what the denoiser is taught about it, and how wrong it is."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.generation.batches import Batches
from spqr_tests.generation.examples import Examples
from spqr_tests.generation.objectives import Objective
from spqr_tests.generation.text_encoder_training import TextEncoders
from spqr_tests.settings.finetuning import ProfileSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BatchLoss:
    """The loss of batches of examples; all randomness is the CPU generator's."""

    backbone: Backbone
    denoiser: Any
    encoders: TextEncoders
    objective: Objective
    profile: ProfileSettings
    examples: Examples
    size: tuple[int, int]
    """Height and width of the pictures, in pixels."""
    generator: "torch.Generator"
    device: "torch.device"

    def step(self, batches: Batches, accelerator: Any) -> float:
        """Add the gradients of one step's batches; their mean loss."""
        accumulation, losses = self.profile.accumulation or 1, []
        for rows in batches.step(accumulation):
            loss = self.of(rows, accelerator.autocast())
            # As accelerate has it: also at an epoch's end, where a step has fewer batches.
            accelerator.backward(loss / accumulation)
            losses.append(float(loss.detach()))
        return sum(losses) / len(losses)

    def of(self, rows: "torch.Tensor", precision: AbstractContextManager[Any]) -> "torch.Tensor":
        """The loss of these rows, a float32 scalar; the models compute in `precision`."""
        import torch

        examples = [one for one in (self.examples, self.examples.prior) if one is not None]
        parts = [one.latents(rows % len(one.mean), self.device) for one in examples]
        kept = self._kept(len(rows))
        mean = torch.cat([mean for mean, _ in parts])
        std = torch.cat([std for _, std in parts])
        latents = mean + std * torch.randn(mean.shape, generator=self.generator).to(self.device)
        lesson = self.objective.lesson(latents, self.generator)
        guided = {} if self.profile.guidance is None else {"guidance": self.profile.guidance}
        with precision:
            text = self._text(examples, rows, kept)
            predicted = self.backbone.predict(
                self.denoiser, lesson.noisy, lesson.times, text, self.size, **guided
            )
        if self.profile.prior is None or self.examples.prior is None:
            return lesson.loss(predicted)
        # As in diffusers' train_dreambooth.py: two means, of which min-SNR weighs the first.
        count = len(rows)
        own = lesson.rows(slice(None, count)).loss(predicted[:count])
        prior = replace(lesson.rows(slice(count, None)), weights=None).loss(predicted[count:])
        return own + self.profile.prior.weight * prior

    def _kept(self, count: int) -> "torch.Tensor | None":
        """Whether the caption of each row is kept; None where all are."""
        import torch

        share = self.profile.caption_dropout
        if share is None:
            return None
        return torch.rand(count, generator=self.generator) >= share

    def _text(
        self, examples: list[Examples], rows: "torch.Tensor", kept: "torch.Tensor | None"
    ) -> "dict[str, torch.Tensor]":
        import torch

        if self.encoders.models:
            captions = self.encoders.captions(len(rows), self.generator) or []
            if captions:
                return self.encoders.embed(captions)
            for number, one in enumerate(examples):
                found = one.captions_of(rows % len(one.mean))
                if number == 0 and kept is not None:
                    found = [text if keep else "" for text, keep in zip(found, kept, strict=True)]
                captions += found
            return self.encoders.embed(captions)
        parts = [one.embedded(rows % len(one.mean), self.device) for one in examples]
        if kept is not None:
            empty = self.examples.empty(self.device)
            mask = kept.to(self.device)
            parts[0] = {
                name: torch.where(mask.view(-1, *[1] * (tensor.ndim - 1)), tensor, empty[name])
                for name, tensor in parts[0].items()
            }
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
