"""Sampling: micro-batches of generations, each from its own generator."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.checkpoint import prompt_scaled
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.loading import require_finite
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import facilitated_transport
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store.images import Pixels

if TYPE_CHECKING:
    import torch

REVISION = 2
"""Part of every generation's key; raise it when a change here changes pixels."""

_KEPT_BYTES = 8 * 2**30
"""Embeddings that are kept: all prompts of CLIP's, about 2,000 of T5's; what is beyond is encoded
anew when it is needed.
"""


class Sampler:
    """Generates images with a pipeline, always in micro-batches of one shape.

    Pixels depend in their last bit on the batch shape, so a short batch is padded: what a prompt
    and seed give does not depend on what else the run generates.
    """

    def __init__(self, pipeline: Any, backbone: Backbone, settings: SamplerSettings) -> None:
        self.pipeline = pipeline
        self.backbone = backbone
        self.settings = settings
        self._numbers = settings.numbers
        self._embeddings = _Embeddings()
        if settings.scheduler != "checkpoint":
            import diffusers

            scheduler = getattr(diffusers, backbone.samplers[settings.scheduler])
            pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
        if pipeline.scheduler.config.get("stochastic_sampling"):
            raise EvidenceError(
                "The checkpoint's scheduler has stochastic_sampling on, which draws noise that no"
                " seed decides; turn it off in its config, since no image could be generated twice."
            )

    def generate(self, prompts: Sequence[Prompt], guidance: float | None = None) -> list[Pixels]:
        """Images (height, width, 3), uint8, for at most `micro_batch` prompts.

        `EvidenceError` for images that are not finite.

        `guidance` is the scale for all of them, None for the settings'; the prompts' own are the
        caller's to sort by.
        """
        import torch

        size = self.settings.micro_batch
        if not 0 < len(prompts) <= size:
            raise ValueError(f"generate takes 1 to {size} prompts, not {len(prompts)}")
        padded = [*prompts, *[prompts[-1]] * (size - len(prompts))]
        named = f"A generation for {prompts[0].named} (and {len(prompts) - 1} others)"
        texts = [prompt.text for prompt in padded]
        with torch.inference_mode():
            text = self._embed(texts, named)
            negative = self.backbone.unconditional(self.pipeline, self._embed([""] * size, named))
            with prompt_scaled.scaled(self._denoiser, self._strengths(texts, named)):
                latents = self.backbone.latents(
                    self.pipeline,
                    text,
                    negative,
                    steps=self._numbers.steps,
                    guidance=self._numbers.guidance if guidance is None else guidance,
                    size=(self._numbers.height, self._numbers.width),
                    # On the CPU, one for each: the same latents on every device, in every batch.
                    generators=[torch.Generator("cpu").manual_seed(one.seed) for one in padded],
                )
            require_finite(latents, f"{named}: the latents")
            decoded = self.backbone.decode(self.pipeline, latents)
            require_finite(decoded, f"{named}: the decoded image")
            pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().to("cpu", torch.uint8)
        return [
            np.ascontiguousarray(image)
            for image in pixels[: len(prompts)].permute(0, 2, 3, 1).numpy()
        ]

    def with_models(self, models: Mapping[str, Any]) -> "Sampler":
        """A sampler that differs in these components alone.

        Text embeddings are shared where its text encoders are the same.
        """
        other = copy.copy(self)
        other.pipeline = copy.copy(self.pipeline)
        other.pipeline.register_modules(**models)
        if models.keys() - {self.backbone.denoiser}:
            other._embeddings = _Embeddings()  # noqa: SLF001
        return other

    @property
    def _denoiser(self) -> Any:
        return getattr(self.pipeline, self.backbone.denoiser)

    def _strengths(self, texts: Sequence[str], named: str) -> "torch.Tensor | None":
        """How strongly each prompt's row gets each adapter that is scaled by the prompt."""
        import torch

        adapters = prompt_scaled.of(self._denoiser)
        if adapters is None:
            return None
        size = self.settings.micro_batch

        def embedded(wanted: Sequence[str]) -> "torch.Tensor":
            padded = [*wanted, *[wanted[-1]] * (-len(wanted) % size)]
            batches = [padded[start : start + size] for start in range(0, len(padded), size)]
            return torch.cat([self._embed(batch, named)["sequence"] for batch in batches])

        found = facilitated_transport.strengths(
            self.pipeline.tokenizer, embedded, texts, adapters.prompts
        )
        return found.to(self.pipeline.device)

    def _embed(self, texts: Sequence[str], named: str) -> "dict[str, torch.Tensor]":
        """Text embeddings on the pipeline's device, encoded in batches of the fixed shape.

        `named` says in messages what they are for.
        """
        import torch

        found = {text: self._embeddings.get(text) for text in texts}
        new = [text for text, embedded in found.items() if embedded is None]
        if new:
            padded = [*new, *[new[-1]] * (len(texts) - len(new))]
            encoded = self.backbone.embed(self.pipeline, padded)
            for tensor in encoded.values():
                require_finite(tensor, f"{named}: the text embedding")
            for row, text in enumerate(new):
                found[text] = self._embeddings.keep(
                    text, {name: tensor[row].cpu() for name, tensor in encoded.items()}
                )
        rows = [embedded for text in texts if (embedded := found[text]) is not None]
        return {
            name: torch.stack([row[name] for row in rows]).to(self.pipeline.device)
            for name in rows[0]
        }


class _Embeddings:
    """Text embeddings by text, on the CPU: a card has other uses for its memory."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, torch.Tensor]] = {}
        self._bytes = 0

    def get(self, text: str) -> "dict[str, torch.Tensor] | None":
        """The embedding of a text, one row; None where it has to be made."""
        return self._kept.get(text)

    def keep(self, text: str, embedded: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """Keep an embedding while there is room."""
        size = sum(tensor.nbytes for tensor in embedded.values())
        if self._bytes + size <= _KEPT_BYTES:
            # clone: a row would keep its whole batch alive.
            embedded = {name: tensor.clone() for name, tensor in embedded.items()}
            self._kept[text] = embedded
            self._bytes += size
        return embedded
