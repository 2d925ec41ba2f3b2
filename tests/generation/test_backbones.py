"""Backbones: what is special about some, and what the cases of all backbones leave out."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spqr_tests.checkpoint.backbones import autoencoder
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import sampling
from spqr_tests.generation.sampling import Sampler
from tests.tiny import settings
from tests.tiny.backbones import NAMES, SIDE, backbone_of, make

PROMPTS = [Prompt("a red heart", 1), Prompt("blue rings on a green tree", 2)]


@pytest.fixture(scope="module", params=NAMES)
def pipeline(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The backbone's pipeline; a test leaves it as it was."""
    import torch

    torch.set_num_threads(1)
    made = make(request.param)
    scheduler = copy.deepcopy(made.scheduler)
    yield made
    assert made.scheduler.config == scheduler.config


@pytest.fixture
def backbone(pipeline: Any) -> Backbone:
    return backbone_of(pipeline)


def _sampler(pipeline: Any, **changed: Any) -> Sampler:
    return Sampler(
        pipeline,
        backbone_of(pipeline),
        settings(**{"height": SIDE, "width": SIDE, "steps": 3, "micro_batch": 2} | changed),
    )


def _own(pipeline: Any, **changed: Any) -> Any:
    """What the pipeline itself generates, in levels, (n, height, width, 3)."""
    import torch

    arguments = {
        "height": SIDE,
        "width": SIDE,
        "num_inference_steps": 3,
        "output_type": "np",
    } | changed
    generators = [torch.Generator("cpu").manual_seed(prompt.seed) for prompt in PROMPTS]
    return (
        255
        * pipeline([prompt.text for prompt in PROMPTS], generator=generators, **arguments).images
    )


def test_without_zeros_the_empty_prompt_is_what_sdxl_is_led_away_from() -> None:
    pipeline = make("sdxl")
    zeros = _sampler(pipeline).generate(PROMPTS)
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    ours = np.stack(_sampler(pipeline).generate(PROMPTS))
    assert np.abs(ours - _own(pipeline, guidance_scale=7.5, negative_prompt=["", ""])).max() <= 1
    assert (ours != np.stack(zeros)).any()


def test_sd3_paints_without_its_third_encoder() -> None:
    pipeline = make("sd3")
    whole = _sampler(pipeline).generate(PROMPTS)
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    ours = np.stack(_sampler(pipeline).generate(PROMPTS))
    assert np.abs(ours - _own(pipeline, guidance_scale=7.5)).max() <= 1
    assert (ours != np.stack(whole)).any()


def test_schnell_takes_half_of_devs_tokens_and_no_guidance() -> None:
    from diffusers import FluxTransformer2DModel

    pipeline = make("flux")
    config = dict(pipeline.transformer.config) | {"guidance_embeds": False}
    pipeline.register_modules(transformer=FluxTransformer2DModel.from_config(config).eval())
    assert backbone_of(pipeline).embed(pipeline, ["a ring"])["sequence"].shape[1] == 256
    one, other = (
        np.stack(_sampler(pipeline, guidance=guidance).generate(PROMPTS)) for guidance in (0.0, 3.5)
    )
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - _own(pipeline, guidance_scale=0.0, max_sequence_length=256)).max() <= 1


def test_noise_that_no_seed_decides_is_refused() -> None:
    pipeline = make("sd3")
    pipeline.scheduler.register_to_config(stochastic_sampling=True)
    with pytest.raises(
        EvidenceError,
        match=r"^The checkpoint's scheduler has stochastic_sampling on, which draws noise",
    ):
        _sampler(pipeline)


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpmsolver++"])
@pytest.mark.parametrize("name", ["sd2", "sdxl"])
def test_a_protocols_scheduler_replaces_the_checkpoints(name: str, scheduler: str) -> None:
    pipeline = make(name)
    sampler = _sampler(pipeline, scheduler=scheduler)
    assert type(pipeline.scheduler).__name__ == backbone_of(pipeline).samplers[scheduler]
    assert pipeline.scheduler.config.prediction_type == (
        "v_prediction" if name == "sd2" else "epsilon"
    )
    assert (
        np.abs(np.stack(sampler.generate(PROMPTS)) - _own(pipeline, guidance_scale=7.5)).max() <= 1
    )


def test_another_denoiser_changes_the_picture_and_leaves_the_pipeline(
    pipeline: Any, backbone: Backbone
) -> None:
    import torch

    sampler = _sampler(pipeline)
    before = sampler.generate(PROMPTS)[0]
    original = getattr(pipeline, backbone.denoiser)
    denoiser = copy.deepcopy(original)
    for parameter in denoiser.parameters():
        parameter.data += 0.05 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(0)
        )
    other = sampler.with_models({backbone.denoiser: denoiser})
    assert (other.generate(PROMPTS)[0] != before).any()
    assert getattr(pipeline, backbone.denoiser) is original
    np.testing.assert_array_equal(sampler.generate(PROMPTS)[0], before)
    assert getattr(other.pipeline, "watermark", None) is None


def test_embeddings_that_are_not_kept_are_made_anew(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = _sampler(pipeline)
    expected = kept.generate(PROMPTS)
    assert kept._embeddings.get("") is not None
    monkeypatch.setattr(sampling, "_KEPT_BYTES", 0)
    sampler = _sampler(pipeline)
    for _ in range(2):
        np.testing.assert_array_equal(sampler.generate(PROMPTS), expected)
    assert sampler._embeddings.get("") is None


def _pixels(count: int = 2) -> Any:
    import torch

    return 2 * torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) - 1


def test_what_is_encoded_with_statistics_is_decoded_to_what_the_autoencoder_makes_of_it(
    pipeline: Any, backbone: Backbone
) -> None:
    import torch

    pipeline = copy.copy(pipeline)
    pipeline.vae = copy.deepcopy(pipeline.vae)
    channels = pipeline.vae.config.latent_channels
    values = {
        "latents_mean": [0.1 * i - 0.2 for i in range(channels)],
        "latents_std": [1 + 0.3 * i for i in range(channels)],
    }
    pipeline.vae.register_to_config(**values)
    with torch.inference_mode():
        found = pipeline.vae.encode(_pixels()).latent_dist
        mean, std = backbone.encode(pipeline, _pixels())
        torch.testing.assert_close(
            backbone.decode(pipeline, mean), pipeline.vae.decode(found.mean).sample
        )
        low, high = (backbone.decode(pipeline, mean + sign * std) for sign in (-1, 1))
        torch.testing.assert_close(low, pipeline.vae.decode(found.mean - found.std).sample)
        torch.testing.assert_close(high, pipeline.vae.decode(found.mean + found.std).sample)
    assert mean.dtype == std.dtype == torch.float32
    if pipeline.__class__.__name__ == "StableDiffusionXLPipeline":
        ours = np.stack(_sampler(pipeline).generate(PROMPTS))
        assert np.abs(ours - _own(pipeline, guidance_scale=7.5)).max() <= 1


def test_a_large_batch_is_decoded_and_encoded_in_equal_parts(
    pipeline: Any, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    seen: list[int] = []
    decoder = pipeline.vae.decoder
    hook = decoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    with torch.inference_mode():
        mean, std = backbone.encode(pipeline, _pixels(6))
        whole = backbone.decode(pipeline, mean)
        monkeypatch.setattr(autoencoder, "_PIXELS", 4 * SIDE**2)
        torch.testing.assert_close(backbone.decode(pipeline, mean), whole)
        again = backbone.encode(pipeline, _pixels(6))
    hook.remove()
    assert seen == [6, 3, 3]
    torch.testing.assert_close(again, (mean, std))


def test_an_autoencoder_that_overflows_in_float16_computes_in_float32() -> None:
    import torch

    pipeline = make("sdxl")
    full = copy.deepcopy(pipeline.vae.half()).float()
    before = {name: tensor.clone() for name, tensor in pipeline.vae.state_dict().items()}
    backbone = backbone_of(pipeline)
    with torch.inference_mode():
        mean, std = backbone.encode(pipeline, _pixels())
        found = full.encode(_pixels()).latent_dist
        torch.testing.assert_close((mean, std), (found.mean * 0.13025, found.std * 0.13025))
        decoded = backbone.decode(pipeline, mean.half())
        torch.testing.assert_close(decoded, full.decode(mean.half().float() / 0.13025).sample)
    assert {tensor.dtype for tensor in pipeline.vae.state_dict().values()} == {torch.float16}
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in pipeline.vae.state_dict().items()
    )
    assert not any(parameter.is_inference() for parameter in pipeline.vae.parameters())
