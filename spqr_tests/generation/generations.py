"""Generations: the images of a variant for prompts, made where the store lacks them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import sampling
from spqr_tests.generation.sampling import Sampler
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store import digest
from spqr_tests.store.computing import computing
from spqr_tests.store.cost import Cost
from spqr_tests.store.images import Pixels, from_png, is_blank, to_png
from spqr_tests.store.store import Store

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""


@dataclass(frozen=True)
class Generation:
    """One image: the prompt it was generated for, its file, its pixels' digest."""

    prompt: Prompt
    path: Path
    digest: str

    def pixels(self) -> Pixels:
        """The image, verified against its digest once more."""
        image, found = from_png(self.path.read_bytes(), self.path)
        if found != self.digest:
            raise EvidenceError(f"{self.path} changed while it was used.")
        return image


@dataclass(frozen=True)
class ImageSource:
    """Where the images of one variant come from.

    The content that their pixels depend on, and a way to get a sampler when it is needed.
    """

    content: str
    """Digest of the weights and configs in force."""
    device: str
    settings: SamplerSettings
    sampler: Callable[[], Sampler]

    def guidance(self, prompt: Prompt) -> float:
        """The guidance scale of a prompt: its own, else the settings'."""
        return self.settings.numbers.guidance if prompt.guidance is None else prompt.guidance

    def sampling(self, prompt: Prompt) -> dict[str, Any]:
        """The settings that a prompt's image is generated with."""
        return self.settings.model_dump() | {"guidance": self.guidance(prompt)}

    def key(self, prompt: Prompt) -> str:
        """The store's key of one generation."""
        return digest.of_json(
            {
                "content": self.content,
                "device": self.device.split(":")[0],
                "prompt": prompt.text,
                "revision": sampling.REVISION,
                "sampler": self.sampling(prompt),
                "seed": prompt.seed,
            }
        )


def generate(
    store: Store,
    source: ImageSource,
    prompts: Sequence[Prompt],
    cost: Cost,
    progress: Progress,
    label: str,
) -> list[Generation]:
    """The images of `prompts`, in order and never fewer.

    What the store lacks is generated, in micro-batches of one guidance scale.

    Workers that ask at the same time share the work: a micro-batch that another one holds is left
    to it. Raises `EvidenceError` when an image is blank or not finite.
    """
    keys = [source.key(prompt) for prompt in prompts]
    found: dict[str, Generation] = {}
    waiting = batches(source, prompts)
    while waiting:
        left = []
        for batch in waiting:
            missing = _lookup(store, keys, prompts, batch, found)
            if not missing:
                continue
            lock = store.lock(digest.of_json([keys[position] for position in batch]))
            try:
                with lock.acquire(blocking=False):
                    missing = _lookup(store, keys, prompts, missing, found)
                    if missing:
                        _generate(
                            store, source, [(keys[i], prompts[i]) for i in missing], cost, label
                        )
                        _lookup(store, keys, prompts, missing, found)
            except Timeout:
                left.append(batch)
            progress(label, len(found), len(prompts))
        if len(left) == len(waiting):
            time.sleep(0.05)
        waiting = left
    return [found[key] for key in keys]


def batches(source: ImageSource, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Positions in `prompts`, in lists of at most a micro-batch with one guidance scale."""
    alike: dict[float, list[int]] = {}
    for position, prompt in enumerate(prompts):
        alike.setdefault(source.guidance(prompt), []).append(position)
    size = source.settings.micro_batch
    return [
        group[start : start + size]
        for group in alike.values()
        for start in range(0, len(group), size)
    ]


def _lookup(
    store: Store,
    keys: list[str],
    prompts: Sequence[Prompt],
    positions: list[int],
    found: dict[str, Generation],
) -> list[int]:
    """Note what the store holds of `positions`; the others are returned."""
    missing = []
    for position in positions:
        key = keys[position]
        if key in found:
            continue
        path = store.path("generations", key, ".png")
        try:
            _, pixels_digest = from_png(path.read_bytes(), path)
        except FileNotFoundError:
            missing.append(position)
        except EvidenceError:
            store.discard(path)
            missing.append(position)
        else:
            found[key] = Generation(prompts[position], path, pixels_digest)
    return missing


def _generate(
    store: Store, source: ImageSource, wanted: list[tuple[str, Prompt]], cost: Cost, label: str
) -> None:
    def make() -> None:
        with computing(source.device):
            images = source.sampler().generate(
                [prompt for _, prompt in wanted], source.guidance(wanted[0][1])
            )
        for (key, prompt), image in zip(wanted, images, strict=True):
            if is_blank(image):
                raise EvidenceError(
                    f"The generation of {label} for {prompt.text!r}, seed {prompt.seed}, is blank:"
                    " the model is broken there, and a picture of nothing does not count as safe."
                )
            store.write(
                store.path("generations", key, ".png"),
                to_png(image, _provenance(source, prompt, label)),
            )
            cost.generated += 1

    # One key for the source: a model that generates NaN once is not asked again in this session.
    store.attempt(source.content, make)


def _provenance(source: ImageSource, prompt: Prompt, label: str) -> dict[str, Any]:
    return {
        "content": source.content,
        "prompt": prompt.text,
        "sampler": source.sampling(prompt),
        "seed": prompt.seed,
        "variant": label,
    }
