"""What the suite tests of each of its backbones, for the author of another one.

A module of tests has a fixture `subject` and a class, and pytest finds the cases:

    @pytest.fixture(scope="module")
    def subject():
        return Subject(BACKBONE, make)

    class TestMine(BackboneCases):
        pass

A fixture with `params` runs them on several pipelines. The package must be installed, since the
cases read the pipeline as `--model` does. Collecting them imports no torch.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.formats import configs
from spqr_tests.data.prompts import Prompt
from spqr_tests.testing.subject import PROMPTS, Made, Subject, modules
from spqr_tests.testing.training_cases import TrainingCases

__all__ = ["BackboneCases", "Subject"]


class BackboneCases(TrainingCases):
    """Reading, fingerprints, sampling and encoding; with what it inherits, training and FLOPs."""

    def test_it_is_read_and_every_weight_is_loaded(self, made: Made) -> None:
        """By `--model`, as this backbone, and equal to what was saved."""
        import torch

        assert made.checkpoint.backbone is made.backbone
        assert type(made.loaded) is type(made.pipeline)
        found = modules(made.loaded)
        for name, own in modules(made.pipeline).items():
            state = found[name].state_dict()
            assert state.keys() == own.state_dict().keys()
            for key, tensor in own.state_dict().items():
                assert torch.equal(state[key], tensor), f"{name}.{key}"

    @pytest.mark.parametrize("saved", ["shards", "pickles", "labels", "defaults"])
    def test_it_has_one_fingerprint_in_every_format(
        self, made: Made, saved: str, tmp_path: Path
    ) -> None:
        """However diffusers saved it, and whichever version: defaults may be left out."""
        folder = tmp_path / "again"
        _SAVED[saved](made, folder)
        found = read("again", folder, allow_pickle=True)
        assert found.fingerprint == made.checkpoint.fingerprint

    def test_one_changed_element_is_another_model(self, made: Made, tmp_path: Path) -> None:
        """In any of its components."""
        from safetensors.torch import load_file, save_file

        seen = {made.checkpoint.fingerprint}
        for number, path in enumerate(sorted(made.folder.rglob("*.safetensors"))):
            folder = Path(shutil.copytree(made.folder, tmp_path / str(number)))
            tensors = load_file(path)
            tensors[max(tensors)].view(-1)[0] += 1
            save_file(tensors, folder / path.relative_to(made.folder))
            seen.add(read("other", folder).fingerprint)
        assert len(seen) == 1 + len(made.checkpoint.parts.models)

    @pytest.mark.parametrize("which", [0, -1], ids=["weak", "strong"])
    def test_it_generates_what_diffusers_own_pipeline_does(self, made: Made, which: int) -> None:
        """To 1e-5 of a pixel's range; also where width and height differ."""
        import torch

        guidance = made.subject.guidances[which]
        for width in (made.subject.side, made.subject.side + 16):
            ours, theirs = made.painted(guidance, width), made.by_hand(guidance, width)
            assert ours.shape == (len(PROMPTS), 3, made.subject.side, width)
            assert float(theirs.std()) > 0.01, "a tiny pipeline whose images show nothing"
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)

    def test_an_image_depends_on_its_prompt_and_seed_alone(self, made: Made) -> None:
        """And not on what else is in the batch."""
        sampler = made.sampler()
        first, second = sampler.generate(PROMPTS)
        text, seed = PROMPTS[0].text, PROMPTS[0].seed
        again, reseeded = sampler.generate([PROMPTS[0], Prompt(text, seed + 1)])
        (alone,) = made.sampler().generate(PROMPTS[1:])
        (reworded,) = sampler.generate([Prompt("a moon", seed)])
        assert first.shape == (made.subject.side, made.subject.side, 3)
        np.testing.assert_array_equal(again, first)
        np.testing.assert_array_equal(alone, second)
        assert (reseeded != first).any(), "the seed matters"
        assert (reworded != first).any(), "the prompt matters"

    def test_guidance_matters(self, made: Made) -> None:
        """Of the scales that the subject states, if it states several."""
        found = [made.painted(scale, made.subject.side) for scale in made.subject.guidances]
        assert len(found) == 1 or bool((found[0] != found[-1]).any())

    def test_what_is_trained_is_what_the_pipeline_samples_with(self, made: Made) -> None:
        """`predict` is the denoiser's answer at each step that the pipeline takes."""
        import torch

        seen: list[tuple[Any, Any, Any]] = []

        def watch(_: Any, given: tuple[Any, ...], named: dict[str, Any], answer: Any) -> None:
            noisy: Any = named.get("hidden_states", given[0] if given else None)
            time: Any = named.get("timestep", given[1] if len(given) > 1 else None)
            seen.append((noisy.clone(), torch.as_tensor(time).clone(), answer[0].clone()))

        side, width = made.subject.side, made.subject.side + 16
        hook = made.denoiser.register_forward_hook(watch, with_kwargs=True)
        try:
            # Without guidance the pipeline asks for what training does.
            made.painted(made.subject.guidances[0], width)
        finally:
            hook.remove()
        assert len(seen) >= 2
        text = made.backbone.embed(made.loaded, [prompt.text for prompt in PROMPTS])
        for noisy, time, answer in seen:
            latents, expected = (
                made.subject.as_latents(made.loaded, one, (side, width)) for one in (noisy, answer)
            )
            times = time.expand(len(PROMPTS)) / made.subject.times
            with torch.no_grad():
                found = made.backbone.predict(made.denoiser, latents, times, text, (side, width))
            assert found.shape == latents.shape
            torch.testing.assert_close(found, expected[:, : latents.shape[1]])

    def test_what_is_encoded_is_decoded_to_what_the_autoencoder_makes_of_it(
        self, made: Made
    ) -> None:
        """The mean, and one standard deviation above it."""
        import torch

        side, noise = made.subject.side, torch.Generator().manual_seed(0)
        pixels = 2 * torch.rand(2, 3, side, side, generator=noise) - 1
        with torch.inference_mode():
            own = made.loaded.vae.encode(pixels)
            latents = own.latent_dist.mean if hasattr(own, "latent_dist") else own.latent
            mean, std = made.backbone.encode(made.loaded, pixels)
            decoded = made.backbone.decode(made.loaded, mean)
            torch.testing.assert_close(decoded, made.loaded.vae.decode(latents).sample)
            if hasattr(own, "latent_dist"):
                above = made.loaded.vae.decode(latents + own.latent_dist.std).sample
                torch.testing.assert_close(made.backbone.decode(made.loaded, mean + std), above)
        assert mean.dtype == std.dtype == torch.float32
        assert mean.shape == std.shape


def _shards(made: Made, folder: Path) -> None:
    made.pipeline.save_pretrained(folder, max_shard_size="8KB")
    assert list((folder / made.backbone.denoiser).glob("*.index.json")), "it is not in shards"


def _pickles(made: Made, folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    shutil.copytree(made.folder, folder)
    for path in folder.rglob("*.safetensors"):
        # transformers calls its pickles otherwise.
        name = "pytorch_model" if path.stem == "model" else path.stem
        torch.save(load_file(path), path.with_name(f"{name}.bin"))
        path.unlink()


def _labels(made: Made, folder: Path) -> None:
    made.pipeline.save_pretrained(folder, variant="fp16")
    assert list(folder.rglob("*.fp16.safetensors"))


def _defaults(made: Made, folder: Path) -> None:
    """As a version of the libraries that knew none of today's defaults would have saved it."""
    shutil.copytree(made.folder, folder)
    for name, component in made.checkpoint.parts.models.items():
        path = folder / name / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        usual = configs.installed(component.model_class)
        kept = {key: one for key, one in config.items() if key not in usual or one != usual[key]}
        path.write_text(json.dumps(kept), encoding="utf-8")


_SAVED: dict[str, Callable[[Made, Path], None]] = {
    "shards": _shards,
    "pickles": _pickles,
    "labels": _labels,
    "defaults": _defaults,
}
