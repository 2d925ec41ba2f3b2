"""Encoding: a benign set's latents and text embeddings, once for all that trains on it.

Profiles, trainings, workers and later runs find them in the store.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spqr_tests.data.pictures import BenignSet
from spqr_tests.generation import examples
from spqr_tests.generation.examples import Examples
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store import digest, libraries, tensors
from spqr_tests.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from spqr_tests.checkpoint.backbones.backbone import Backbone

KIND = "examples"
REVISION = 1
"""Part of every key; raise it when a change here or in `examples` changes a tensor."""
LARGEST = 2**30
"""Bytes of what is stored: T5 embeddings of thousands of captions are encoded by each process."""
_TEXT = "text."


def encoded(
    store: Store,
    fingerprint: str,
    device: str,
    settings: SamplerSettings,
    benign: BenignSet,
    batch: int,
    caption: str | None,
    pipeline: "Callable[[], tuple[Any, Backbone]]",
) -> Examples:
    """The examples of a benign set for the checkpoint with this fingerprint.

    They are encoded in batches of `batch` where the store lacks them; `caption` is for all pictures
    in place of their own. Raises as `examples.encode`.
    """
    size = settings.numbers.height, settings.numbers.width
    key = digest.of_json(
        {
            "batch": batch,
            "benign": benign.digest,
            "caption": caption,
            "checkpoint": fingerprint,
            "device": device.partition(":")[0],
            "dtype": settings.dtype,
            "libraries": libraries.minor(libraries.TRAINING),
            "revision": REVISION,
            "size": list(size),
        }
    )
    load = partial(tensors.load, kind=KIND, key=key)
    kept = store.load(KIND, key, tensors.SUFFIX, load)
    if kept is None:
        with store.lock(key):
            kept = store.load(KIND, key, tensors.SUFFIX, load)
            if kept is None:
                made = examples.encode(
                    *pipeline(), benign, size, batch, with_empty=True, caption=caption
                )
                _keep(store, key, made)
                return made
    return _opened(benign.folder, *kept)


def _keep(store: Store, key: str, made: Examples) -> None:
    found = {"mean": made.mean, "std": made.std, "captions": made.captions}
    found |= {f"{_TEXT}{name}": tensor for name, tensor in made.text.items()}
    if sum(tensor.nbytes for tensor in found.values()) > LARGEST:
        return
    about = {"texts": list(made.texts)}
    store.fill(
        KIND, key, tensors.SUFFIX, lambda path: tensors.save(path, found, KIND, key, **about)
    )


def _opened(
    folder: Path, found: "Mapping[str, torch.Tensor]", about: "Mapping[str, Any]"
) -> Examples:
    text = {name.removeprefix(_TEXT): one for name, one in found.items() if name.startswith(_TEXT)}
    texts = tuple(map(str, about["texts"]))
    return Examples(folder, found["mean"], found["std"], text, found["captions"], texts)
