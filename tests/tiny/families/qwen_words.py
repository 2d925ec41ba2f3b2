"""A real tokenizer of Qwen2's class, trained on a few sentences."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
"""What Qwen3's says of messages without tools."""
# So often that each of the first sentence's words is a token, as it is to the published tokenizer.
_TEXTS = (
    (
        "system\nDescribe the image by detailing the color, shape, size, texture, quantity, text,"
        " spatial relationships of the objects and background:\nuser\nassistant\n"
    )
    * 9,
    "a red heart and blue rings on a green tree, a white star, a black moon, a pink house",
)


@cache
def _trained() -> tuple[dict[str, int], list[str]]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    return model["vocab"], merges


def write(folder: Path) -> None:
    """Its files as Qwen's authors publish them, without a tokenizer.json."""
    ids, merges = _trained()
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    flags = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False)
    added = {
        str(len(ids) + number): {"content": token, **flags, "special": number < 3}
        for number, token in enumerate(SPECIAL)
    }
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131_072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def made() -> Any:
    """The transformers tokenizer."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        # Transformers 5 has the name without a type.
        kind: Any = getattr(transformers, "Qwen2TokenizerFast")  # noqa: B009
        return kind.from_pretrained(folder)


def size() -> int:
    """How many tokens it knows."""
    return len(_trained()[0]) + len(SPECIAL)
