"""Language models as text encoders: one set of names and one config for each, in every version.

Published files have the names of the whole model or of its decoder alone, with or without a head
that no text encoding uses, and versions of transformers write the same config in different words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEAD = "lm_head.weight"
# Settings of text generation, of training and of the vision tower, which no prompt reaches.
_WITHOUT_EFFECT = frozenset(
    (
        "add_cross_attention attention_dropout bad_words_ids begin_suppress_tokens bos_token_id"
        " cache_implementation final_logit_softcapping"
        " chunk_size_feed_forward cross_attention_hidden_size decoder_start_token_id"
        " diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size eos_token_id"
        " exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id"
        " id2label image_token_id initializer_range is_decoder is_encoder_decoder label2id"
        " length_penalty max_length min_length no_repeat_ngram_size num_beam_groups num_beams"
        " num_return_sequences output_attentions output_hidden_states output_scores pad_token_id"
        " prefix problem_type pruned_heads remove_invalid_values repetition_penalty return_dict"
        " return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature"
        " tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torchscript typical_p"
        " use_bfloat16 use_cache video_token_id vision_config vision_end_token_id"
        " vision_start_token_id vision_token_id"
    ).split()
)
_WINDOW = ("layer_types", "max_window_layers", "sliding_window", "use_sliding_window")


@dataclass(frozen=True)
class _Kind:
    """How files of a class are written."""

    architectures: tuple[str, ...]
    """The classes whose weights it can be loaded from."""
    model_types: tuple[str, ...]
    decoder: str = ""
    """Its own prefix of the decoder's tensors."""
    tower: str = ""
    """Its own prefix of the vision tower's tensors."""
    head: bool = True


_KINDS = {
    "Qwen2_5_VLForConditionalGeneration": _Kind(
        ("Qwen2_5_VLForConditionalGeneration",),
        ("qwen2_5_vl",),
        "model.language_model.",
        "model.visual.",
    ),
    "Qwen3Model": _Kind(("Qwen3Model", "Qwen3ForCausalLM"), ("qwen3",), head=False),
    "Qwen3ForCausalLM": _Kind(("Qwen3ForCausalLM", "Qwen3Model"), ("qwen3",), "model."),
    "Gemma2Model": _Kind(("Gemma2Model", "Gemma2ForCausalLM"), ("gemma2",), head=False),
}
_BARE = ("embed_tokens.", "layers.", "norm.")
"""What a decoder's own file calls its parts."""
ARCHITECTURES = {name: kind.architectures for name, kind in _KINDS.items()}
MODEL_TYPES = {name: kind.model_types for name, kind in _KINDS.items()}


def is_one(model_class: str) -> bool:
    """Whether a class of transformers is a language model that is known here."""
    return model_class in _KINDS


def canonical_name(model_class: str, name: str) -> str | None:
    """A tensor's name in the class itself; None for what the class has no place for."""
    kind = _KINDS[model_class]
    if name == HEAD:
        return HEAD if kind.head else None
    if kind.tower:
        for prefix in (kind.tower, "visual."):
            if name.startswith(prefix):
                return kind.tower + name.removeprefix(prefix)
    for prefix in (kind.decoder, "model."):
        if prefix and name.startswith(prefix):
            return kind.decoder + name.removeprefix(prefix)
    return kind.decoder + name if name.startswith(_BARE) else name


def is_tied(config: Mapping[str, Any]) -> bool:
    """Whether the head is the embeddings, so that files need not hold it."""
    given = config.get("tie_word_embeddings")
    inner = config.get("text_config")
    return bool(given or (isinstance(inner, Mapping) and inner.get("tie_word_embeddings")))


def plain(model_class: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config says of the decoder, in the words of current transformers.

    Older versions wrote a decoder's settings beside those of its vision tower, and the rotary
    embedding's under two names.
    """
    inner = config.get("text_config")
    found = {**(inner if isinstance(inner, Mapping) else config)}
    found = {key: value for key, value in found.items() if key not in _WITHOUT_EFFECT}
    found.pop("tie_word_embeddings", None)
    if _KINDS[model_class].head:
        found["tie_word_embeddings"] = is_tied(config)
    given = [found.pop(key, None) for key in ("rope_scaling", "rope_parameters")]
    rope = {key: one for part in given for key, one in (part or {}).items()}
    if "rope_theta" in found:
        rope["rope_theta"] = found.pop("rope_theta")
    if rope:
        kind = rope.pop("type", "default")
        rope.setdefault("rope_type", "default" if kind == "mrope" else kind)
        found["rope_parameters"] = rope
    if model_class.startswith("Gemma"):
        found.pop("layer_types", None)  # every other layer has a window, in the class itself
    elif not found.get("use_sliding_window"):
        found = {key: value for key, value in found.items() if key not in _WINDOW}
    return found
