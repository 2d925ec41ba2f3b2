"""A tiny Kolors."""

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.backbones.backbone import Defaults
from tests.tiny import backbones
from tests.tiny.families import parts
from tests.tiny.families.facts import Facts, Published

_LAYERS = [
    f"{block}.transformer_blocks.{layer}"
    for block in (
        "down_blocks.1.attentions.0",
        "mid_block.attentions.0",
        "up_blocks.0.attentions.0",
        "up_blocks.0.attentions.1",
    )
    for layer in (0, 1)
]
_WORDS = ("a red heart on a green tree", "blue rings and a white star", "two black moons")


@cache
def _pieces() -> tempfile.TemporaryDirectory[str]:
    """A folder with a file of sentencepiece, which its own trainer made; kept with the process."""
    import sentencepiece

    folder, made = tempfile.TemporaryDirectory(prefix="chatglm-"), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_WORDS * 20),
        model_writer=made,
        vocab_size=50,
        model_type="bpe",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (Path(folder.name) / "tokenizer.model").write_bytes(made.getvalue())
    return folder


def chatglm_tokenizer() -> Any:
    """A tokenizer of ChatGLM's class, which knows a few words."""
    from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

    return ChatGLMTokenizer(str(Path(_pieces().name) / "tokenizer.model"))


def _chatglm(width: int) -> Any:
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

    model = ChatGLMModel(
        ChatGLMConfig(
            num_layers=2,
            padded_vocab_size=96,
            hidden_size=width,
            ffn_hidden_size=width,
            kv_channels=8,
            num_attention_heads=4,
            seq_length=512,
            original_rope=True,
            multi_query_attention=True,
            multi_query_group_num=2,
            add_qkv_bias=True,
        ),
        empty_init=False,
    )
    for parameter in model.parameters():  # its class leaves most of them as memory was
        parameter.data.normal_(0, 0.2)
    return model


def _make() -> Any:
    from diffusers import EulerDiscreteScheduler, KolorsPipeline

    unet = backbones._unet(
        32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(1, 2),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 24,
        encoder_hid_dim=24,
        encoder_hid_dim_type="text_proj",
    )
    return KolorsPipeline(
        vae=parts.vae(4, scaling_factor=0.13025),
        text_encoder=_chatglm(24),
        tokenizer=chatglm_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.014,
            beta_schedule="scaled_linear",
            num_train_timesteps=1100,
            steps_offset=1,
            timestep_spacing="leading",
        ),
    )


KOLORS = Facts(
    make=_make,
    name="Kolors",
    index={
        "_class_name": "KolorsPipeline",
        "_diffusers_version": "0.30.0.dev0",
        "feature_extractor": [None, None],
        "force_zeros_for_empty_prompt": False,
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["kolors", "ChatGLMModel"],
        "tokenizer": ["kolors", "ChatGLMTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    published=(
        Published(
            {
                "unet": {
                    "addition_time_embed_dim": 256,
                    "cross_attention_dim": 2048,
                    "encoder_hid_dim": 4096,
                    "encoder_hid_dim_type": "text_proj",
                    "in_channels": 4,
                    "out_channels": 4,
                    "projection_class_embeddings_input_dim": 5632,
                    "sample_size": 128,
                },
                "vae": parts.PUBLISHED_VAE,
                "text_encoder": {"hidden_size": 4096, "model_type": "chatglm", "num_layers": 28},
                "scheduler": {"_class_name": "EulerDiscreteScheduler", "beta_end": 0.014},
            },
            1024,
            Defaults(50, 5.0),
        ),
    ),
    limits={"text_encoder": 256},
    lite=frozenset(
        f"{layer}.attn{kind}.{name}"
        for layer in _LAYERS
        for kind in (1, 2)
        for name in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    moderate=frozenset(
        f"{layer}.attn2.{name}"
        for layer in _LAYERS
        for name in ("to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    ),
    learned=0.7,
    broken=(
        "unet",
        "encoder_hid_dim",
        32,
        "encoder_hid_dim is 32, and the text_encoder's hidden_size is 24",
    ),
)
