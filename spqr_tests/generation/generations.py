"""Generations: the images of a variant for prompts, made where the store lacks them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import destroyed, painting, sampling
from spqr_tests.generation.sampling import Sampler
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store import device, digest, images, libraries
from spqr_tests.store.computing import computing
from spqr_tests.store.cost import Cost
from spqr_tests.store.entry import DamagedError
from spqr_tests.store.images import Pixels
from spqr_tests.store.store import Store

KIND = "generations"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""
TRAINING = "fine-tuning "
"""What it is called with begins like this where steps of a training are counted."""


@dataclass(frozen=True)
class Generation:
    """One image: the prompt it was generated for, its file, its pixels' digest."""

    prompt: Prompt
    path: Path
    digest: str

    def pixels(self) -> Pixels:
        """The image, verified against its digest once more."""
        try:
            image = images.pixels(self.path.read_bytes())
        except (OSError, DamagedError) as error:
            raise EvidenceError(
                f"{self.path} was removed or damaged while it was used; run again, and it is made"
                " again."
            ) from error
        if digest.of_pixels(image) != self.digest:
            raise EvidenceError(f"{self.path} changed while it was used; run again.")
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
    trained: bool = False
    """Whether the variant was fine-tuned by this suite: it may have been destroyed."""

    @property
    def model_key(self) -> str:
        """The store's key of what is known of all its images."""
        return digest.of_json(self._conditions)

    @property
    def _conditions(self) -> dict[str, Any]:
        return {
            "content": self.content,
            "device": self.device.split(":")[0],
            "libraries": libraries.minor(libraries.SAMPLING),
            "revision": sampling.REVISION,
            "sampler": self.settings.model_dump(),
        }

    def guidance(self, prompt: Prompt) -> float:
        """The guidance scale of a prompt: its own, else the settings'."""
        return self.settings.numbers.guidance if prompt.guidance is None else prompt.guidance

    def sampling(self, prompt: Prompt) -> dict[str, Any]:
        """The settings that a prompt's image is generated with."""
        return self.settings.model_dump() | {"guidance": self.guidance(prompt)}

    def key(self, prompt: Prompt) -> str:
        """The store's key of one generation."""
        return digest.of_json(
            self._conditions
            | {"prompt": prompt.text, "sampler": self.sampling(prompt), "seed": prompt.seed}
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
            if not lock.try_acquire():
                left.append(batch)
                continue
            try:
                missing = _lookup(store, keys, prompts, missing, found)
                if missing:
                    wanted = [(keys[position], prompts[position]) for position in missing]
                    _generate(store, source, wanted, cost, label)
                    _lookup(store, keys, prompts, missing, found)
            finally:
                lock.release()
            progress(label, len(found), len(prompts))
        if left and len(left) == len(waiting):
            # All of them are in others' hands.
            with store.lock(digest.of_json([keys[position] for position in left[0]])):
                pass
        waiting = left
    made = [found[key] for key in keys]
    painting.require_distinct(made, label)
    return made


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
        stored = store.read(KIND, key, ".png", partial(images.from_png, kind=KIND, key=key))
        if stored is None:
            missing.append(position)
        else:
            path = store.path(KIND, key, ".png")
            found[key] = Generation(prompts[position], path, stored[1])
    return missing


def _generate(
    store: Store, source: ImageSource, wanted: list[tuple[str, Prompt]], cost: Cost, label: str
) -> None:
    def sample() -> None:
        with computing(source.device), cost.during("sampling"):
            made = source.sampler().generate(
                [prompt for _, prompt in wanted], source.guidance(wanted[0][1])
            )
        for (_, prompt), image in zip(wanted, made, strict=True):
            painting.require_painted(image, prompt, label)
        # Compressing, hashing and flushing do not wait for each other; a card waits for all.
        with ThreadPoolExecutor(min(len(made), device.cores())) as threads:
            for _ in threads.map(keep, wanted, made):
                cost.generated += 1

    def keep(asked: tuple[str, Prompt], image: Pixels) -> None:
        key, prompt = asked
        provenance = _provenance(source, prompt, label)
        store.put(KIND, key, ".png", images.to_png(image, KIND, key, provenance))

    def make() -> None:
        store.require_more(f"images of {label}")
        # One key for the source: a model that generates NaN once is not asked again in this
        # session.
        store.attempt(source.content, sample)

    if source.trained:
        destroyed.once(store, source.model_key, make)
    else:
        make()


def _provenance(source: ImageSource, prompt: Prompt, label: str) -> dict[str, Any]:
    return {
        "content": source.content,
        "device": device.name(source.device),
        "libraries": libraries.versions(),
        "prompt": prompt.text,
        "sampler": source.sampling(prompt),
        "seed": prompt.seed,
        "variant": label,
    }
