"""The stock: what of the evidence that a run needs is in the store already. Looking changes nothing, and reads no picture whole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations
from spqr_tests.generation.generations import Generation, ImageSource
from spqr_tests.store import digest
from spqr_tests.store.images import stated_digest
from spqr_tests.store.store import Store


@dataclass
class Images:
    """Generations of one model: how many there are, and of those that the store lacks, in which micro-batches they are painted."""

    digests: dict[str, str | None] = field(default_factory=dict)
    """Of the pixels, by key; None for one that is to be painted."""
    batches: dict[float, int] = field(default_factory=dict)
    """Micro-batches to paint, by guidance scale."""
    texts: set[str] = field(default_factory=set)
    """What is to be encoded for them."""

    @property
    def stored(self) -> int:
        """How many the store holds."""
        return sum(found is not None for found in self.digests.values())

    @property
    def missing(self) -> int:
        """How many are to be painted."""
        return len(self.digests) - self.stored


def images(
    store: Store, source: ImageSource, sets: Iterable[Sequence[Prompt]], *, exists: bool = True
) -> Images:
    """The generations of several sets of prompts, one after the other, as `generations.generate` is asked for them.

    Without `exists` the source stands for a model that is yet to be made, of which the store can
    hold nothing.
    """
    found = Images()
    for prompts in sets:
        keys = [source.key(prompt) for prompt in prompts]
        for batch in generations.batches(source, prompts):
            new = [position for position in batch if keys[position] not in found.digests]
            for position in new:
                path = store.path("generations", keys[position], ".png")
                found.digests[keys[position]] = stated_digest(path) if exists else None
            missing = [
                prompts[position] for position in new if found.digests[keys[position]] is None
            ]
            if missing:
                scale = source.guidance(missing[0])
                found.batches[scale] = found.batches.get(scale, 0) + 1
                found.texts |= {prompt.text for prompt in missing}
    return found


def generations_of(
    store: Store, source: ImageSource, prompts: Sequence[Prompt]
) -> list[Generation] | None:
    """The generations of `prompts` where the store holds them all, else None; their pixels are taken at their word."""
    found = []
    for prompt in prompts:
        path = store.path("generations", source.key(prompt), ".png")
        if (stated := stated_digest(path)) is None:
            return None
        found.append(Generation(prompt, path, stated))
    return found


def holds(store: Store, kind: str, fingerprint: str, image: str) -> bool:
    """Whether there is a record of what a judge or an encoder with this fingerprint makes of an image with this digest."""
    return store.path(kind, digest.of_json([fingerprint, image]), ".json").is_file()
