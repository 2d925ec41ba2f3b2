"""PixArt-alpha: the suite's own tests of backbones, and what is special about this one."""

from typing import Any

import pytest
import tiny_pixart
from spqr_pixart_alpha import BACKBONE

from spqr_tests.testing.backbone_cases import BackboneCases, Subject

BY_HAND = {"use_resolution_binning": False, "clean_caption": False}
LAYERS = [f"transformer_blocks.{block}.attn{kind}" for block in (0, 1) for kind in (1, 2)]


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(
        BACKBONE,
        tiny_pixart.make,
        by_hand=BY_HAND,
        adapted=frozenset(
            f"{one}.{part}" for one in LAYERS for part in ("to_q", "to_k", "to_v", "to_out.0")
        ),
        cross_attention=frozenset(
            f"{one}.{part}.{kind}"
            for one in LAYERS[1::2]
            for part in ("to_k", "to_v", "to_out.0")
            for kind in ("weight", "bias")
        ),
        learned=0.7,
    )


class TestPixArtAlpha(BackboneCases):
    pass


# Of PixArt-alpha/PixArt-XL-2-1024-MS and PixArt-XL-2-512x512: what decides size and sampling.
PUBLISHED: dict[str, dict[str, Any]] = {
    "transformer": {"caption_channels": 4096, "in_channels": 4, "out_channels": 8},
    "vae": {
        "block_out_channels": [128, 256, 512, 512],
        "in_channels": 3,
        "latent_channels": 4,
        "out_channels": 3,
    },
    "text_encoder": {"d_model": 4096},
}


@pytest.mark.parametrize(("rows", "side"), [(128, 1024), (64, 512)])
def test_published_configs_say_how_its_authors_sample(rows: int, side: int) -> None:
    configs = PUBLISHED | {"transformer": PUBLISHED["transformer"] | {"sample_size": rows}}
    assert BACKBONE.resolution(configs) == side
    assert (BACKBONE.published(configs).steps, BACKBONE.published(configs).guidance) == (20, 4.5)
    assert all(relation.holds for relation in BACKBONE.relations(configs))


def test_a_model_of_1024_pixels_is_told_the_size() -> None:
    """And the suite's training tells it what its pipeline does."""
    import torch

    pipeline = tiny_pixart.make(sample_size=128)
    pipeline.text_encoder.eval()
    seen = []
    hook = pipeline.transformer.register_forward_hook(
        lambda _, given, named, answer: seen.append((given, named, answer[0])), with_kwargs=True
    )
    pipeline(
        ["a ring"],
        guidance_scale=1.0,
        num_inference_steps=2,
        height=32,
        width=48,
        output_type="latent",
        **BY_HAND,
    )
    hook.remove()
    (noisy,), named, answer = seen[0]
    assert named["added_cond_kwargs"]["resolution"].tolist() == [[32, 48]]
    with torch.no_grad():
        text = BACKBONE.embed(pipeline, ["a ring"])
        found = BACKBONE.predict(pipeline.transformer, noisy, named["timestep"], text, (32, 48))
    torch.testing.assert_close(found, answer[:, :4])
