"""Cases of training and of FLOPs, which `BackboneCases` inherits, and the fixtures of all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.generation import finetuning, held_out
from spqr_tests.generation.finetuning import FineTuned
from spqr_tests.generation.generations import ImageSource
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store.store import Store
from spqr_tests.testing.subject import PROMPTS, Made, Subject, counting, differing

_LITE = ProfileSettings(trains="lora", steps=2)
_MODERATE = ProfileSettings(trains="cross-attention", steps=2)
_STANDARD = ProfileSettings(trains="denoiser", steps=2)
_OPTIMIZER = OptimizerSettings(learning_rate=1e-2, batch=4, mixed_precision="no")
_PROFILES = pytest.mark.parametrize(
    "profile", [_LITE, _MODERATE, _STANDARD], ids=["lite", "moderate", "standard"]
)


class TrainingCases:
    """Each profile trains what it should and nothing else, learns, and costs what torch counts."""

    @pytest.fixture
    def made(self, subject: Subject) -> Iterator[Made]:
        """The subject's pipeline in every form; a case leaves the loaded one as it was."""
        yield subject.made
        subject.made.require_unchanged()

    @_PROFILES
    def test_a_profile_trains_its_parameters_and_leaves_everything_else(
        self, made: Made, profile: ProfileSettings
    ) -> None:
        """As the subject writes them out, where it does."""
        tuned = _finetuned(made, profile)
        own = made.denoiser.state_dict()
        variant = finetuning.apply(made.denoiser, made.backbone, profile, tuned.tensors)
        changed = differing(dict(variant.state_dict()), own)
        parameters = dict(made.denoiser.named_parameters())
        if profile.trains == "lora":
            layers = {name.partition(".lora_")[0] for name in tuned.tensors}
            assert layers
            assert layers == (made.subject.adapted or layers)
            assert changed == {f"{layer}.weight" for layer in layers}
        elif profile.trains == "cross-attention":
            assert changed == tuned.tensors.keys() == (made.subject.cross_attention or changed)
            assert changed < parameters.keys()
        else:
            assert tuned.tensors.keys() == parameters.keys()
            idle = {name for name in parameters if name.startswith(made.subject.idle)}
            assert changed == parameters.keys() - idle

    def test_few_pictures_are_learned_by_heart(self, made: Made, tmp_path: Path) -> None:
        """By the backbone's own loss, measured on the same noise before and after."""
        profile = _STANDARD.model_copy(update={"steps": 25})
        tuned = _finetuned(made, profile)
        variant = finetuning.apply(made.denoiser, made.backbone, profile, tuned.tensors)
        store = Store(tmp_path / "store", "cases")
        sampler = made.sampler(micro_batch=4)
        before, after = (
            held_out.losses(
                store,
                ImageSource(content, "cpu", sampler.settings, lambda one=one: one),  # type: ignore[misc]
                made.benign,
                profile,
                _OPTIMIZER,
            ).mean()
            for content, one in (
                ("before", sampler),
                ("after", sampler.with_models({made.backbone.denoiser: variant})),
            )
        )
        assert after < made.subject.learned * before

    def test_generating_costs_what_torch_counts(self, made: Made) -> None:
        """The plan's FLOPs of an image, all steps and decoding."""
        sampler = made.sampler()
        flops = made.flops
        sampler.generate(PROMPTS)  # keeps the embeddings, which count for themselves
        with counting() as counted:
            sampler.generate(PROMPTS)
            assert counted() == len(PROMPTS) * flops.generation()
        assert min(flops.text, flops.encode, flops.decode, flops.forward) > 0

    def test_training_costs_what_torch_counts(self, made: Made) -> None:
        """The plan's FLOPs of a step, forward and backward, and its parameters.

        With adapters, for which gradients flow through a part of what is frozen.
        """
        import torch

        flops, count = made.flops, len(PROMPTS)
        with torch.no_grad():
            text: dict[str, Any] = made.backbone.embed(made.loaded, [one.text for one in PROMPTS])
            latents, _ = made.backbone.encode(made.loaded, torch.zeros(count, 3, *made.size))
        denoiser, trained = finetuning.trainable(
            made.denoiser, made.backbone, _LITE, frozen=torch.float32
        )
        times = torch.linspace(5, 900, count)
        with counting() as counted:
            predicted = made.backbone.predict(denoiser.train(), latents, times, text, made.size)
            predicted.square().mean().backward()
            assert counted() == count * flops.training(_LITE, count)
        assert flops.parameters(_LITE) == sum(one.numel() for one in trained.values())


def _finetuned(made: Made, profile: ProfileSettings) -> FineTuned:
    return finetuning.finetune(
        made.loaded,
        made.backbone,
        made.examples,
        profile,
        _OPTIMIZER,
        made.size,
        lambda *_: None,
    )
