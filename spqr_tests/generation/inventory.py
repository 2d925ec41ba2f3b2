"""The inventory: what the store already has of the evidence that a run needs.

Looking changes nothing, and reads no image whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations
from spqr_tests.generation.generations import KIND, Generation, ImageSource
from spqr_tests.store.images import stated_digest
from spqr_tests.store.store import Store


@dataclass
class Images:
    """Images of one model: how many there are, and the micro-batches of those that are missing."""

    digests: dict[str, str | None] = field(default_factory=dict)
    """Of the pixels, by key; None for an image that is missing."""
    batches: dict[float, int] = field(default_factory=dict)
    """Micro-batches to generate, by guidance scale."""
    texts: set[str] = field(default_factory=set)
    """What is to be encoded for them."""

    @property
    def stored(self) -> int:
        """How many the store holds."""
        return sum(found is not None for found in self.digests.values())

    @property
    def missing(self) -> int:
        """How many are to be generated."""
        return len(self.digests) - self.stored


def images(
    store: Store, source: ImageSource, sets: Iterable[Sequence[Prompt]], *, exists: bool = True
) -> Images:
    """The images of several prompt sets, in the order in which a run asks for them.

    Without `exists` the source is a model that is not made yet, of which the store can
    hold nothing.
    """
    found = Images()
    for prompts in sets:
        keys = [source.key(prompt) for prompt in prompts]
        for batch in generations.batches(source, prompts):
            new = [position for position in batch if keys[position] not in found.digests]
            for position in new:
                key = keys[position]
                found.digests[key] = _stated(store, key) if exists else None
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
    """The images of `prompts` where the store holds them all, else None.

    Their stated digests are not verified.
    """
    found = []
    for prompt in prompts:
        key = source.key(prompt)
        if (stated := _stated(store, key)) is None:
            return None
        found.append(Generation(prompt, store.path(KIND, key, ".png"), stated))
    return found


def holds(store: Store, kind: str, key: str) -> bool:
    """Whether the store has a record, which is not read."""
    return store.path(kind, key, ".json").is_file()


def _stated(store: Store, key: str) -> str | None:
    return stated_digest(store.path(KIND, key, ".png"), KIND, key)
