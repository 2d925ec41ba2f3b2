"""The published architectures, none of whose weights is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint import loading
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary
from spqr_tests.checkpoint.parts import Component, Parts


@dataclass(frozen=True)
class _Given:
    """A tokenizer that need not be loaded."""

    tokenizer: Any

    def content(self) -> Any:
        return None

    def load(self) -> Any:
        return self.tokenizer


def published(name: str, changed: Mapping[str, Mapping[str, int]] | None = None) -> Parts:
    """The parts of an architecture, by the name of its preset; `changed` are values of configs."""
    backbone, preset = next(
        (backbone, preset)
        for backbone in BACKBONES
        if backbone.original is not None
        for preset in backbone.original.presets
        if preset.name == name
    )
    models = {}
    for component, (kind, config) in preset.models.items():
        own = {**config, **(changed or {}).get(component, {})}
        models[component] = Component(component, kind, own, {}, Path(name))
    tokenizers: dict[str, Any] = {
        component: ClipVocabulary(pad) for component, pad in preset.tokenizers.items()
    }
    for component in backbone.tokenizers:
        # Single files lack T5's. Prompts are padded, so that any vocabulary gives the same shapes.
        tokenizers.setdefault(component, _Given(t5_tokenizer()))
    return Parts(
        backbone, preset.pipeline_class, models, tokenizers, preset.scheduler, preset.arguments
    )


def write(parts: Parts, folder: Path, dtype: str) -> None:
    """Write a pipeline with random weights as a diffusers folder."""
    import torch

    torch.manual_seed(0)
    pipeline = loading.skeleton(parts, "cpu")
    for name in parts.models:
        getattr(pipeline, name).to(getattr(torch, dtype))
    pipeline.save_pretrained(folder)


def t5_tokenizer() -> Any:
    """A tokenizer of T5's class that knows single letters."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", -10.0),
        ("\u2581", -2.0),
        *((c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    tokenizer = Tokenizer(models.Unigram(letters, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    words = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    # Transformers 5 has the name without a type.
    made: Any = getattr(transformers, "T5TokenizerFast")  # noqa: B009
    return made(tokenizer_object=tokenizer, extra_ids=0, model_max_length=16, **words)
