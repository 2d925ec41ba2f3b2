"""The fingerprint of a checkpoint: a digest of its content, whatever its format."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from spqr_tests.checkpoint.formats import configs
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.store import digest

# Each holds one block of a file in memory, and hashing releases the interpreter's lock.
_THREADS = min(8, os.cpu_count() or 1)


def fingerprint(parts: Parts) -> str:
    """SHA-256 (hex) of every tensor in use, the configs, the tokenizers and the switches.

    It stays the same when the model moves to another folder, other file names, other shards or
    another format, and changes when a single element does. Of a package's backbone, distribution
    and version are part of it, since another release may sample or train otherwise. Reads every
    byte of the weights once, and does not need torch for safetensors.
    """
    tensors = _tensors(parts)
    scheduler_class, scheduler = parts.scheduler
    package, defaults = parts.backbone.package, parts.backbone.config_defaults
    content: dict[str, Any] = {
        "pipeline": parts.pipeline_class,
        "models": {
            name: [
                component.model_class,
                configs.canonical(component.model_class, component.config, defaults),
                tensors[name],
            ]
            for name, component in parts.models.items()
        },
        "scheduler": [scheduler_class, configs.canonical(scheduler_class, scheduler)],
        "tokenizers": {name: tokenizer.content() for name, tokenizer in parts.tokenizers.items()},
        "arguments": dict(parts.arguments),
        "loras": [lora.digest() for lora in parts.loras],
    }
    # Left out where there is none, so that the fingerprints of the suite's own families stay.
    more: dict[str, Any] = {"package": package} if package else {}
    packed = {name: one.quantisation for name, one in parts.models.items() if one.quantisation}
    if packed:
        more["quantised"] = {name: one.content() for name, one in packed.items()}
    if parts.words:
        more["words"] = [word.content() for word in parts.words]
    if parts.scaled:
        more["scaled"] = [adapter.content() for adapter in parts.scaled]
    return digest.of_json(content | more)


def _tensors(parts: Parts) -> dict[str, dict[str, str]]:
    """The digest of each tensor of each component."""
    pool = ThreadPoolExecutor(_THREADS)
    try:
        digests = {
            name: {key: pool.submit(tensor.digest) for key, tensor in component.tensors.items()}
            for name, component in parts.models.items()
        }
        return {
            name: {key: future.result() for key, future in futures.items()}
            for name, futures in digests.items()
        }
    finally:
        pool.shutdown(cancel_futures=True)
