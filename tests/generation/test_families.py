"""Families that are read from folders: each paints and is trained as diffusers has it."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.generation import finetuning, objectives
from spqr_tests.settings.finetuning import ProfileSettings
from tests.generation.families import LITE, MODERATE, SIZE, STANDARD, Family, _differing
from tests.tiny.backbones import FAMILIES, SIDE
from tests.tiny.families.family import TinyFamily

PROMPTS = ["a red heart", "blue rings on a green tree, a white star, a black moon"]
STEPS = 3


class Known(Family):
    """A family with something to train on, and what is expected of it."""

    expected: TinyFamily


@pytest.fixture(scope="module", params=FAMILIES)
def known(request: pytest.FixtureRequest, families: Callable[[str], Family]) -> Iterator[Known]:
    """One of each family; a test leaves it as it was."""
    family = families(request.param)
    family.__class__ = Known
    assert isinstance(family, Known)
    family.expected = FAMILIES[request.param]
    before = family.state()
    yield family
    assert not _differing(family.state(), before)


def _generator(number: int) -> Any:
    import torch

    return torch.Generator("cpu").manual_seed(number)


def _latents(
    pipeline: Any, backbone: Backbone, prompts: list[str], guidance: float, width: int = SIDE
) -> Any:
    import torch

    with torch.inference_mode():
        return backbone.latents(
            pipeline,
            backbone.embed(pipeline, prompts),
            backbone.unconditional(pipeline, backbone.embed(pipeline, [""] * len(prompts))),
            steps=STEPS,
            guidance=guidance,
            size=(SIDE, width),
            generators=[_generator(PROMPTS.index(prompt)) for prompt in prompts],
        )


@pytest.mark.parametrize("guides", [False, True], ids=["unguided", "guided"])
def test_it_paints_what_its_pipeline_paints_for_each_prompt_alone(
    known: Known, *, guides: bool
) -> None:
    import torch

    pipeline, backbone, width = known.pipeline, known.backbone, SIDE + 16
    scale = known.expected.guided if guides else known.expected.unguided
    found = _latents(pipeline, backbone, PROMPTS, scale, width)
    shape = backbone.latent_shape(pipeline.vae.config, (SIDE, width))
    assert found.shape == (len(PROMPTS), *shape)
    with torch.inference_mode():
        images = backbone.decode(pipeline, found)
    for number, prompt in enumerate(PROMPTS):
        theirs = pipeline(
            prompt=prompt,
            height=SIDE,
            width=width,
            num_inference_steps=STEPS,
            generator=_generator(number),
            output_type="pt",
            **known.expected.options(scale),
        ).images[0]
        ours = (images[number] / 2 + 0.5).clamp(0, 1)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    turned = _latents(pipeline, backbone, PROMPTS[::-1], scale, width)
    assert torch.equal(turned.flip(0), found), "other prompts of a batch do not matter"


def test_guidance_and_the_prompt_matter(known: Known) -> None:
    scales = known.expected.unguided, known.expected.guided
    weak, strong = (
        _latents(known.pipeline, known.backbone, PROMPTS[:1], scale) for scale in scales
    )
    assert (weak != strong).any() == (known.expected.guided > known.expected.unguided)
    before = known.backbone.embed(known.pipeline, [PROMPTS[0], "a red moon"])
    assert any((tensor[0] != tensor[1]).any() for tensor in before.values())


def test_what_is_trained_is_what_the_pipeline_samples_with(known: Known) -> None:
    """Euler's method by hand, with the prediction that training corrects."""
    import torch

    pipeline, backbone = known.pipeline, known.backbone
    expected = _latents(pipeline, backbone, PROMPTS, known.expected.unguided)
    sigmas = pipeline.scheduler.sigmas
    text = backbone.embed(pipeline, PROMPTS)
    shape = expected.shape[1:]
    found = torch.stack([torch.randn(shape, generator=_generator(n)) for n in (0, 1)])
    for sigma, following in pairwise(sigmas):
        times = (sigma * 1000).expand(2)
        with torch.no_grad():
            velocity = backbone.predict(known.denoiser, found, times, text, SIZE)
        found = found + (following - sigma) * velocity
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_what_is_encoded_is_decoded_to_what_the_autoencoder_makes_of_it(known: Known) -> None:
    import torch

    pixels = 2 * torch.rand(2, 3, SIDE, SIDE, generator=_generator(0)) - 1
    pipeline, backbone = known.pipeline, known.backbone
    framed = pixels if "block_out_channels" in pipeline.vae.config else pixels[:, :, None]
    with torch.inference_mode():
        mean, std = backbone.encode(pipeline, pixels)
        decoded = backbone.decode(pipeline, mean)
        theirs = pipeline.vae.decode(pipeline.vae.encode(framed).latent_dist.mean).sample
    torch.testing.assert_close(decoded, theirs.reshape(pixels.shape), rtol=1e-4, atol=1e-5)
    assert mean.dtype == std.dtype == torch.float32
    assert mean.shape[1:] == backbone.latent_shape(pipeline.vae.config, SIZE)
    assert (std > 0).all()


@pytest.mark.parametrize(
    "profile", [LITE, MODERATE, STANDARD], ids=["lite", "moderate", "standard"]
)
def test_a_profile_trains_its_parameters_and_leaves_everything_else(
    known: Known, profile: ProfileSettings
) -> None:
    own = {name: tensor.clone() for name, tensor in known.denoiser.state_dict().items()}
    tuned = known.finetune(profile)
    variant = finetuning.apply(known.denoiser, known.backbone, profile, tuned.tensors)
    changed = _differing(dict(variant.state_dict()), own)
    if profile is LITE:
        layers = {name.partition(".lora_")[0] for name in tuned.tensors}
        assert layers == known.expected.adapted
        assert {f"{layer}.weight" for layer in layers} == changed
    elif profile is MODERATE:
        assert tuned.tensors.keys() == changed == known.expected.cross_attention
    else:
        assert tuned.tensors.keys() == dict(known.denoiser.named_parameters()).keys()
        assert tuned.tensors.keys() - changed == {
            name for name in tuned.tensors if name.startswith(known.expected.unused)
        }


def test_few_pictures_are_learned_by_heart(known: Known) -> None:
    profile = STANDARD.model_copy(update={"steps": 15})
    tuned = known.finetune(profile)
    variant = finetuning.apply(known.denoiser, known.backbone, profile, tuned.tensors)
    assert _loss(known, variant) < 0.8 * _loss(known, known.denoiser)


def _loss(family: Known, denoiser: Any) -> float:
    """On the same noise, whatever the denoiser."""
    import torch

    objective = objectives.choose(
        family.pipeline.scheduler,
        patch=family.backbone.patch,
        min_snr_gamma=None,
        times=family.backbone.times,
    )
    rows = torch.arange(len(family.examples.mean)).repeat(4)
    mean, _, text = family.examples.batch(rows, torch.device("cpu"))
    lesson = objective.lesson(mean, _generator(77))
    with torch.no_grad():
        predicted = family.backbone.predict(denoiser, lesson.noisy, lesson.times, text, SIZE)
        return float(lesson.loss(predicted))


def test_noise_levels_are_drawn_as_in_diffusers_own_training(known: Known) -> None:
    """Its examples draw levels of the scheduler uniformly: --weighting_scheme none.

    It has none of Chroma, which is trained as FLUX.1 is.
    """
    import torch

    scheduler = type(known.pipeline.scheduler).from_config(known.pipeline.scheduler.config)
    objective = objectives.choose(
        scheduler, patch=known.backbone.patch, min_snr_gamma=None, times=known.backbone.times
    )
    lesson = objective.lesson(torch.zeros(4000, 1, 2, 2), _generator(5))
    levels = lesson.times / scheduler.config.num_train_timesteps
    for share in (0.1, 0.5, 0.9):
        drawn = torch.tensor(share)
        if known.expected.levels == "logit-normal":
            drawn = torch.special.ndtri(drawn).sigmoid()
        expected = scheduler.sigmas.quantile(drawn)
        assert float(levels.quantile(share)) == pytest.approx(float(expected), abs=0.03)
    torch.testing.assert_close(lesson.target, lesson.noisy / levels.view(-1, 1, 1, 1))


def test_recomputing_activations_changes_nothing(known: Known) -> None:
    import torch

    gradients = []
    for checkpointing in (False, True):
        denoiser, trained = finetuning.trainable(
            known.denoiser, known.backbone, MODERATE, frozen=torch.float32
        )
        if checkpointing:
            denoiser.enable_gradient_checkpointing()
        noisy = torch.randn(known.examples.mean.shape, generator=_generator(3))
        text = known.backbone.embed(known.pipeline, [*PROMPTS, *PROMPTS])
        predicted = known.backbone.predict(denoiser.train(), noisy, torch.ones(4), text, SIZE)
        predicted.square().mean().backward()
        gradients.append({name: one.grad for name, one in trained.items()})
    for name, one in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], one)
