"""What an index, a component's config and the other components' configs say of each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spqr_tests import quotes
from spqr_tests.checkpoint.backbones.backbone import FLOW_SCHEDULERS, Backbone
from spqr_tests.checkpoint.formats import configs, language_models, quantised
from spqr_tests.checkpoint.formats.tokenizers import FolderTokenizer
from spqr_tests.errors import InputError

# A config of transformers names the class that its weights were saved from, which may hold the one
# that is loaded.
_ARCHITECTURES = {
    "CLIPTextModel": ("CLIPTextModel", "CLIPModel"),
    "CLIPTextModelWithProjection": ("CLIPTextModelWithProjection", "CLIPModel"),
    "T5EncoderModel": ("T5EncoderModel", "T5ForConditionalGeneration", "T5Model"),
    "UMT5EncoderModel": ("UMT5EncoderModel", "UMT5ForConditionalGeneration", "UMT5Model"),
    **language_models.ARCHITECTURES,
}
_MODEL_TYPES = {
    "CLIPTextModel": ("clip_text_model", "clip"),
    "CLIPTextModelWithProjection": ("clip_text_model", "clip"),
    "T5EncoderModel": ("t5",),
    "UMT5EncoderModel": ("umt5",),
    **language_models.MODEL_TYPES,
}


def require_class(path: Path, model_class: str, config: Mapping[str, Any]) -> None:
    """`InputError` when a config is for another class than `model_class`.

    So it is for weights that are quantised in a way that is not read. `path` is the config's, for
    messages. A config that names no class is for any.
    """
    architectures = config.get("architectures")
    for key, named, allowed in (
        ("_class_name", config.get("_class_name"), (model_class,)),
        (
            "architectures",
            architectures[0] if isinstance(architectures, list) and architectures else None,
            _ARCHITECTURES.get(model_class, (model_class,)),
        ),
        ("model_type", config.get("model_type"), _MODEL_TYPES.get(model_class)),
    ):
        if named is not None and allowed is not None and named not in allowed:
            raise InputError(
                f"{path} is for another class than the index names: its {key} says"
                f" {quotes.shown(named)}, and"
                f" the index {model_class}; expected both to name one class."
            )
    quantised.require_known(path, config)


def require(
    given: str,
    folder: Path,
    backbone: Backbone,
    models: Mapping[str, tuple[str, Mapping[str, Any]]],
    tokenizers: Mapping[str, FolderTokenizer],
    scheduler: tuple[str, Mapping[str, Any]],
) -> None:
    """`InputError` when the components in a pipeline's folder cannot belong to one model.

    `models` are class and config of each component with weights, `given` is the option as the user
    passed it. What a config leaves out has the class's default.
    """
    whole = {
        name: configs.whole(*model, backbone.config_defaults) for name, model in models.items()
    }
    for one in backbone.relations(whole):
        if one.holds is False:
            raise InputError(
                f"{given}: the components in {folder} do not belong to one model: {one.sentence}."
            )
    for name, tokenizer in tokenizers.items():
        encoder = name.replace("tokenizer", "text_encoder")
        _require_vocabulary(given, folder, name, encoder, tokenizer, whole.get(encoder, {}))
    scheduler_class, settings = scheduler
    predicted = settings.get("prediction_type", "epsilon")
    known = backbone.predictions
    if scheduler_class not in FLOW_SCHEDULERS and predicted not in known:
        raise InputError(
            f"{given}: {folder / 'scheduler' / 'scheduler_config.json'} says prediction_type ="
            f" {quotes.shown(predicted)}; expected{' one of' if len(known) > 1 else ''}"
            f" {', '.join(known)}."
        )


def _require_vocabulary(
    given: str,
    folder: Path,
    name: str,
    encoder: str,
    tokenizer: FolderTokenizer,
    config: Mapping[str, Any],
) -> None:
    size, known = tokenizer.size, config.get("vocab_size")
    if size is not None and isinstance(known, int) and size > known:
        raise InputError(
            f"{given}: {folder / name} has {size} tokens, and the {encoder} next to it knows"
            f" {known}; the two must belong to one model."
        )
    length, positions = tokenizer.max_length, config.get("max_position_embeddings")
    if length is not None and isinstance(positions, int) and length > positions:
        raise InputError(
            f"{given}: {folder / name} makes prompts of {length} tokens, and the {encoder} next to"
            f" it reads {positions}; model_max_length in its tokenizer_config.json must not be"
            " larger."
        )
