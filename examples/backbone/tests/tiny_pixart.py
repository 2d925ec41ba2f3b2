"""Tiny PixArt-alphas of random weights, with all kinds of components."""

from typing import Any

ROWS = 16
"""Rows of latents: images of 32 pixels."""


def make(**transformer: Any) -> Any:
    """The pipeline, the same at every call."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        PixArtAlphaPipeline,
        PixArtTransformer2DModel,
    )
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,  # width in thirds: the size is told in three
        "num_layers": 2,
        "cross_attention_dim": 24,
        "caption_channels": 32,
        "sample_size": ROWS,
    }
    return PixArtAlphaPipeline(
        tokenizer=_tokenizer(),
        text_encoder=T5EncoderModel(
            T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        ),
        vae=AutoencoderKL(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            sample_size=2 * ROWS,
        ),
        transformer=PixArtTransformer2DModel(**settings | transformer),
        scheduler=DPMSolverMultistepScheduler(),
    )


def _tokenizer() -> Any:
    """A tokenizer of T5's class that knows single letters."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("\u2581", -2.0)]
    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.Unigram([*pieces, *letters], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    words = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    made: Any = transformers.T5TokenizerFast
    return made(tokenizer_object=tokenizer, extra_ids=0, **words)
