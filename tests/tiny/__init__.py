"""Tiny real components, and ways to damage them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spqr_fixtures.embedded import weights
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.settings.sampler import SamplerSettings

Edit = Callable[[dict[str, Any]], None]
SIDE = 16
"""Width and height of an image, in pixels."""


def settings(**changed: Any) -> SamplerSettings:
    return SamplerSettings(
        **{"steps": 2, "height": SIDE, "width": SIDE, "micro_batch": 4, "dtype": "float32"}
        | changed
    )


def protocol(**changed: Any) -> Protocol:
    """A protocol whose profiles are fine-tuned in three steps."""
    table: dict[str, Any] = {
        "name": "tiny",
        "about": "Small enough for a test.",
        "sampler": settings(),
        "harmful": {"prompts": "harmful.jsonl"},
        "adherence": {"prompts": "benign.jsonl", "ceiling_source": "none"},
        "quality": {
            "prompts": "benign.jsonl",
            "reference": "pictures",
            "reference_images": 4,
            "encoder": "judge",
            "best": 1,
            "worst": 9,
            "anchors_source": "none",
        },
        "judges": {"nudenet": {"kind": "nudenet", "labels": ["FACE_FEMALE"]}},
        "finetuning": OptimizerSettings(learning_rate=1e-2, batch=4, mixed_precision="no"),
        "profiles": {
            "lite": ProfileSettings(trains="lora", steps=3),
            "moderate": ProfileSettings(trains="cross-attention", steps=3),
            "standard": ProfileSettings(trains="denoiser", steps=3),
        },
        "scenarios": {"general": {"images": "pictures", "about": "none"}},
    }
    return Protocol(**table | changed)


def silent(*_: Any) -> None:
    """Ignore reports of progress."""


def edit_json(path: Path, edit: Edit) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))
    edit(table)
    path.write_text(json.dumps(table), encoding="utf-8")


def edit_tensors(path: Path, edit: Edit) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def build(folder: Path) -> None:
    """Save a pipeline of random weights, with the kinds of components of Stable Diffusion 1."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=1024,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=1022,
        eos_token_id=1023,
        pad_token_id=1023,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=SIDE,
    )
    # A VAE of two levels makes latents of half the side.
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=32,
        sample_size=SIDE // 2,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizerFast.from_pretrained(weights.judge_folder()),
        unet=unet,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
