"""The fingerprint of a checkpoint: its content, whatever it was stored in."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from spqr_tests.checkpoint.formats import configs
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.store import digest

# Each holds one block of a file in memory; hashing leaves the others their turn.
_THREADS = min(8, os.cpu_count() or 1)


def fingerprint(parts: Parts) -> str:
    """SHA-256 (hex) of every tensor in force, the configs, the tokenizers and the switches.

    The same for one model in another folder, under other file names, in other shards or another
    format; another one when a single element differs. Reads every byte of the weights once, and
    needs no torch for safetensors.
    """
    tensors = _tensors(parts)
    scheduler_class, scheduler = parts.scheduler
    content: dict[str, Any] = {
        "pipeline": parts.pipeline_class,
        "models": {
            name: [
                component.model_class,
                configs.canonical(component.model_class, component.config),
                tensors[name],
            ]
            for name, component in parts.models.items()
        },
        "scheduler": [scheduler_class, configs.canonical(scheduler_class, scheduler)],
        "tokenizers": {name: tokenizer.content() for name, tokenizer in parts.tokenizers.items()},
        "arguments": dict(parts.arguments),
        "loras": [lora.digest() for lora in parts.loras],
    }
    return digest.of_json(content)


def _tensors(parts: Parts) -> dict[str, dict[str, str]]:
    """The digest of each tensor of each component."""
    pool = ThreadPoolExecutor(_THREADS)
    try:
        digests = {
            name: {key: pool.submit(piece.digest) for key, piece in component.tensors.items()}
            for name, component in parts.models.items()
        }
        return {
            name: {key: future.result() for key, future in futures.items()}
            for name, futures in digests.items()
        }
    finally:
        pool.shutdown(cancel_futures=True)
