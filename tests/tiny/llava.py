"""A LLaVA-OneVision model of a few thousand weights, with a real processor.

It is built from configs, and its weights can be set so that it gives chosen answers.
"""

from pathlib import Path
from typing import Any

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in"
    " message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{%"
    " endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt"
    " %}<|im_start|>assistant\n{% endif %}"
)
_ENDS = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
_SIDE, _PATCH, _WIDTH = 28, 14, 16
_BRIGHT, _DARK, _ASKED, _QUOTED, _SAID = range(5)
"""The dimensions that a rigged model's hidden states use: what it sees, and which kind of token
came last.
"""


def build(folder: Path, *, seed: int = 0) -> None:
    """Save a model of random weights, whose answers are meaningless."""
    import torch

    torch.manual_seed(seed)
    processor = _processor(())
    model = _model(processor)
    with torch.no_grad():
        # With transformers' small initial weights, the model would repeat one token.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.7)
    _save(model, processor, folder)


def rig(folder: Path, first: tuple[str, str], rest: tuple[str, str], choice: str = "SU") -> None:
    """Save a model that says the `first` text when asked, and the `rest` after the forced words.

    Each is a pair: the text for bright and the text for dark pictures. `choice` holds the first
    letters of the ratings that the model prefers for bright and for dark pictures.
    """
    import torch

    spoken = tuple(dict.fromkeys((*first, *rest)))
    processor = _processor(spoken)
    model = _model(processor)
    ids = {
        text: processor.tokenizer.convert_tokens_to_ids(text)
        for text in (*spoken, "<|im_end|>", "S", "U", '"', "Ċ")
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(float("norm" in name and name.endswith("weight")))
            if name.endswith("patch_embedding.weight"):
                parameter[0] = 1 / parameter[0].numel()
            elif name.endswith("linear_1.weight"):
                parameter[_BRIGHT, 0], parameter[_DARK, 0] = 100, -100
            elif name.endswith("linear_2.weight") or (
                name.endswith(("v_proj.weight", "o_proj.weight")) and "vision" not in name
            ):
                parameter.copy_(torch.eye(*parameter.shape))
        said, heard = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        said[ids["Ċ"], _ASKED] = said[ids['"'], _QUOTED] = 1
        for texts, after in ((first, _ASKED), (rest, _QUOTED)):
            for text, seen in zip(texts, (_BRIGHT, _DARK), strict=True):
                said[ids[text], _SAID] = 1
                heard[ids[text], after] = 10
                # A text for both kinds of pictures must not depend on what the model sees.
                heard[ids[text], seen] = float(texts[0] != texts[1])
        heard[ids["<|im_end|>"], _SAID] = 10
        for letter, seen in zip(choice, (_BRIGHT, _DARK), strict=True):
            heard[ids[letter], seen] += 1
    _save(model, processor, folder)


def _save(model: Any, processor: Any, folder: Path) -> None:
    model.generation_config.eos_token_id = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _processor(spoken: tuple[str, ...]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        PreTrainedTokenizerFast,
    )

    alphabet = {
        symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    base = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    base.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    base.add_tokens([AddedToken(text, normalized=False) for text in spoken])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base, **_ENDS, model_input_names=["input_ids", "attention_mask"]
    )
    pinpoints = [[height * _SIDE, width * _SIDE] for height in (1, 2) for width in (1, 2)]
    size = {"height": _SIDE, "width": _SIDE}
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(_SIDE // _PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=_TEMPLATE,
    )


def _model(processor: Any) -> Any:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        Qwen2Config,
        SiglipVisionConfig,
    )

    vision = SiglipVisionConfig(
        hidden_size=_WIDTH,
        intermediate_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=_SIDE,
        patch_size=_PATCH,
        vision_use_head=False,
    )
    text = Qwen2Config(
        vocab_size=len(processor.tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16_384,
        tie_word_embeddings=False,
    )
    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            vision_config=vision,
            text_config=text,
            image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
            video_token_index=processor.tokenizer.convert_tokens_to_ids("<video>"),
            vision_feature_select_strategy="full",
            image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
        )
    ).eval()
