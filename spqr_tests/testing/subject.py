"""The subject of the cases: a backbone, and a tiny pipeline of it in every form that they need."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.examples import Examples, encode
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning.flops import Flops
from spqr_tests.settings.sampler import SamplerSettings

if TYPE_CHECKING:
    import torch

PROMPTS = (Prompt("a red heart", 1), Prompt("blue rings on a green tree", 2))
_STEPS = 2
Tensors = Mapping[str, "torch.Tensor"]
AsLatents = Callable[[Any, "torch.Tensor", tuple[int, int]], "torch.Tensor"]


def _plain(pipeline: Any, tensor: "torch.Tensor", size: tuple[int, int]) -> "torch.Tensor":
    del pipeline, size
    return tensor


@dataclass(frozen=True)
class Subject:
    """A backbone with a tiny pipeline, and what a test cannot know of it."""

    backbone: Backbone
    make: Callable[[], Any]
    """A new diffusers pipeline of random weights, the same at every call, that takes well under a
    second to generate an image. Its parts should have everything that published ones have.
    """
    side: int = 32
    """Height and width of its images, in pixels."""
    by_hand: Mapping[str, Any] = field(default_factory=dict)
    """What its pipeline is told, besides the usual, when it is called by hand."""
    guidances: Sequence[float] = (1.0, 4.5)
    """The scales that it is sampled with."""
    times: float = 1.0
    """What the pipeline gives its denoiser as the time is this share of the scheduler's times."""
    as_latents: AsLatents = _plain
    """The latents (n, channels, rows, columns) that a tensor of the denoiser stands for, for images
    of a size (height, width); for denoisers that see latents in another shape.
    """
    cross_attention: frozenset[str] | None = None
    """The names of the parameters that `trains = "cross-attention"` trains, written out."""
    adapted: frozenset[str] | None = None
    """The names of the layers that `trains = "lora"` adapts, written out."""
    idle: tuple[str, ...] = ()
    """Beginnings of the names of parameters that no loss reaches: no training moves them."""
    learned: float = 0.85
    """The loss after 25 steps of the whole denoiser is below this share of the loss before."""

    @cached_property
    def made(self) -> "Made":
        """Its pipeline in every form, made once."""
        return Made(self)


class Made:
    """The subject's pipeline: in memory, in a folder, and read and loaded from there."""

    def __init__(self, subject: Subject) -> None:
        import torch

        torch.set_num_threads(1)
        self._temporary = tempfile.TemporaryDirectory(prefix="spqr-backbone-")
        self.subject, self.folder = subject, Path(self._temporary.name) / "tiny"
        self.pipeline = subject.make()
        self.pipeline.set_progress_bar_config(disable=True)
        for one in modules(self.pipeline).values():
            one.eval().requires_grad_(False)
        self.pipeline.save_pretrained(self.folder)

    @property
    def backbone(self) -> Backbone:
        """The subject's."""
        return self.subject.backbone

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """As `--model` reads it."""
        return read("tiny", self.folder)

    @cached_property
    def loaded(self) -> Any:
        """The pipeline that the suite measures; a case leaves it as it was."""
        return self.checkpoint.pipeline("cpu", "float32")

    @property
    def denoiser(self) -> Any:
        """Of the loaded pipeline."""
        return getattr(self.loaded, self.backbone.denoiser)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images, in pixels."""
        return self.subject.side, self.subject.side

    def sampler(self, **changed: Any) -> Sampler:
        """Of two steps, in batches of two images."""
        side = self.subject.side
        given = {"steps": _STEPS, "guidance": 4.5, "height": side, "width": side, "micro_batch": 2}
        settings = SamplerSettings(**given | {"dtype": "float32"} | changed)
        return Sampler(self.loaded, self.backbone, settings)

    def painted(self, guidance: float, width: int) -> "torch.Tensor":
        """What the suite generates for the prompts, before it is rounded, in [0, 1]."""
        import torch

        backbone, count = self.backbone, len(PROMPTS)
        with torch.inference_mode():
            text = backbone.embed(self.loaded, [prompt.text for prompt in PROMPTS])
            empty = backbone.embed(self.loaded, [""] * count)
            latents = backbone.latents(
                self.loaded,
                text,
                backbone.unconditional(self.loaded, empty),
                steps=_STEPS,
                guidance=guidance,
                size=(self.subject.side, width),
                generators=generators(),
            )
            return (backbone.decode(self.loaded, latents) / 2 + 0.5).clamp(0, 1)

    def by_hand(self, guidance: float, width: int) -> "torch.Tensor":
        """What diffusers' own pipeline generates for the prompts, in [0, 1]."""
        images: torch.Tensor = self.pipeline(
            [prompt.text for prompt in PROMPTS],
            guidance_scale=guidance,
            height=self.subject.side,
            width=width,
            num_inference_steps=_STEPS,
            generator=generators(),
            output_type="pt",
            **self.subject.by_hand,
        ).images
        return images

    @cached_property
    def benign(self) -> BenignSet:
        """Four pictures with captions, to be trained on."""
        from PIL import Image

        folder = self.folder.with_name("pictures")
        folder.mkdir()
        rng, side = np.random.default_rng(1), self.subject.side
        rows = []
        for number, caption in enumerate(("a heart", "a ring", "a green tree", "a white star")):
            colour = rng.integers(0, 256, (1, 1, 3))
            texture = rng.integers(-60, 61, (side, side, 3))
            picture = np.clip(colour + texture, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / f"{number}.png")
            rows.append(json.dumps({"file_name": f"{number}.png", "text": caption}))
        (folder / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")
        return read_pictures(folder)

    @cached_property
    def examples(self) -> Examples:
        """Those pictures, as the denoiser sees them."""
        return encode(self.loaded, self.backbone, self.benign, self.size, 4, with_empty=True)

    @cached_property
    def flops(self) -> Flops:
        """The plan's counts for its sampler."""
        return Flops(self.checkpoint.parts, self.sampler().settings)

    def require_unchanged(self) -> None:
        """`AssertionError` where a tensor of the loaded pipeline is not what was saved."""
        own = modules(self.pipeline)
        for name, one in modules(self.loaded).items():
            found = differing(one.state_dict(), own[name].state_dict())
            if found:
                raise AssertionError(f"A case changed the {name}: {sorted(found)}.")


def modules(pipeline: Any) -> dict[str, Any]:
    """A pipeline's models by the names of their components."""
    import torch

    components = pipeline.components.items()
    return {name: one for name, one in components if isinstance(one, torch.nn.Module)}


def generators() -> "list[torch.Generator]":
    """One for each prompt, of its seed."""
    import torch

    return [torch.Generator("cpu").manual_seed(prompt.seed) for prompt in PROMPTS]


def differing(one: "Tensors", other: "Tensors") -> set[str]:
    """The names of the tensors that differ in a bit."""
    import torch

    return {name for name in one.keys() | other.keys() if not torch.equal(one[name], other[name])}


@contextlib.contextmanager
def counting() -> Iterator[Callable[[], int]]:
    """Torch's own count of what is computed inside, in FLOPs, when it is asked for."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # Not every torch counts attention in inference mode, or in the fused kernels of a CPU.
    kept, torch.inference_mode = torch.inference_mode, torch.no_grad  # type: ignore[misc, assignment]
    try:
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            yield counter.get_total_flops
    finally:
        torch.inference_mode = kept  # type: ignore[misc]
