"""Tiny pipelines' models, their configs, and the layouts of their authors."""

from collections.abc import Iterator
from typing import Any

from tests.checkpoint.formats import originals

ORIGINALS = originals.LAYOUTS


def models(pipeline: Any) -> Iterator[tuple[str, Any]]:
    for name in originals.COMPONENTS:
        if (model := getattr(pipeline, name, None)) is not None:
            yield name, model


def config(model: Any) -> dict[str, Any]:
    return dict(model.config.to_dict() if hasattr(model.config, "to_dict") else model.config)
