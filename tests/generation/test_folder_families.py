"""Families of one tiny pipeline each: read, loaded, generated, trained and counted."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_tests.checkpoint import text_reader
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import InputError
from spqr_tests.generation import finetuning
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store.store import Store
from tests.generation.families import LITE, MODERATE, SIZE, STANDARD, Family, _differing
from tests.generation.test_learning import _learns
from tests.tiny import edit_json, edit_tensors, settings
from tests.tiny.backbones import SIDE
from tests.tiny.families.facts import Facts, Published
from tests.tiny.families.registry import FAMILIES

PROMPTS = [Prompt("a red heart", 1), Prompt("blue rings on a green tree", 2)]


class Made:
    """A family's tiny pipeline, in memory, in a folder, and read from there."""

    def __init__(self, name: str, folder: Path) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.known: Facts = FAMILIES[name]
        self.pipeline = self.known.make()
        self.pipeline.set_progress_bar_config(disable=True)
        for component in self.pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                component.eval().requires_grad_(False)
        self.folder = folder
        self.pipeline.save_pretrained(folder)
        self.checkpoint: Checkpoint = read("base", folder)
        self.loaded = self.checkpoint.pipeline("cpu", "float32")

    @property
    def backbone(self) -> Backbone:
        return self.checkpoint.backbone

    @property
    def denoiser(self) -> Any:
        return getattr(self.loaded, self.backbone.denoiser)

    def sampler(self, **changed: Any) -> Sampler:
        given = {"height": SIDE, "width": SIDE, "steps": 2, "micro_batch": 2} | changed
        return Sampler(self.loaded, self.backbone, settings(**given))

    def by_hand(self, guidance: float, width: int) -> Any:
        """What diffusers' own pipeline generates, in [0, 1], (n, height, width, 3)."""
        import torch

        return self.pipeline(
            [prompt.text for prompt in PROMPTS],
            guidance_scale=guidance,
            height=SIDE,
            width=width,
            num_inference_steps=2,
            generator=[torch.Generator("cpu").manual_seed(prompt.seed) for prompt in PROMPTS],
            output_type="np",
            **self.known.by_hand,
        ).images


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(request.param, tmp_path_factory.mktemp("families") / request.param)


@pytest.fixture(scope="module")
def trained(made: Made, benign_set: BenignSet) -> Iterator[Family]:
    """The family with something to train on; a test leaves its pipeline as it was."""
    family = Family(made.known.name, benign_set, made.loaded)
    before = family.state()
    yield family
    assert not _differing(family.state(), before)


@pytest.fixture(scope="module")
def flops(made: Made) -> Flops:
    return Flops(made.checkpoint.parts, made.sampler().settings)


def _copy(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


class TestReading:
    def test_its_published_index_is_read_as_its_own(self, made: Made, tmp_path: Path) -> None:
        folder = _copy(made, tmp_path)
        own = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        for name, entry in made.known.index.items():
            config = folder / name / "config.json"
            if isinstance(entry, list) and entry[1] != own[name][1] and config.is_file():
                table = json.loads(config.read_text(encoding="utf-8"))
                config.write_text(json.dumps(table | {"_class_name": entry[1]}), encoding="utf-8")
        (folder / "model_index.json").write_text(json.dumps(made.known.index), encoding="utf-8")
        found = read("published", folder)
        assert found.backbone.name == made.known.name
        assert found.fingerprint == made.checkpoint.fingerprint
        assert {*found.parts.models, *found.parts.tokenizers, "scheduler"} == {
            name for name, entry in made.known.index.items() if isinstance(entry, list)
        } - made.backbone.left_out

    def test_published_configs_say_how_its_authors_sample(self, made: Made) -> None:
        for one in made.known.published:
            assert made.backbone.resolution(one.configs) == one.side
            assert made.backbone.published(one.configs) == one.defaults
            self._require_agreement(made.backbone, one)
            side = made.backbone.resolution(one.configs)
            made.backbone.check(settings(height=side, width=side), one.configs)

    @staticmethod
    def _require_agreement(backbone: Backbone, one: Published) -> None:
        from spqr_tests.checkpoint.formats import configs

        whole = {}
        for name, (_, classes) in backbone.models.items():
            config = dict(one.configs[name])
            named = str(config.get("_class_name", min(classes)))
            named, config = backbone.current(name, named, config)
            whole[name] = configs.whole(named, config)
        relations = [*backbone.relations(whole)]
        assert [one.sentence for one in relations if one.holds is False] == []
        assert sum(one.holds is True for one in relations) >= len(relations) - 1

    def test_parts_of_two_models_are_refused(self, made: Made, tmp_path: Path) -> None:
        assert made.known.broken is not None
        component, key, value, sentence = made.known.broken
        folder = _copy(made, tmp_path)
        (path,) = (folder / component).glob("*config.json")
        edit_json(path, lambda table: table.update({key: value}))
        with pytest.raises(InputError) as refused:
            read("some", folder, weightless=True)
        assert sentence in str(refused.value)

    def test_it_has_one_fingerprint_in_every_format(self, made: Made, tmp_path: Path) -> None:
        import torch
        from safetensors.torch import load_file

        made.pipeline.save_pretrained(tmp_path / "shards", max_shard_size="8KB")
        indexes = [*(tmp_path / "shards").rglob("*.index.json")]
        assert {made.backbone.denoiser, "vae", "text_encoder"} <= {
            index.parent.name for index in indexes
        }
        assert read("shards", tmp_path / "shards").fingerprint == made.checkpoint.fingerprint
        pickles = _copy(made, tmp_path)
        for path in pickles.rglob("*.safetensors"):
            tensors = load_file(path)
            path.unlink()
            name = "pytorch_model" if path.stem == "model" else path.stem
            torch.save(tensors, path.with_name(f"{name}.bin"))
        found = read("pickles", pickles, allow_pickle=True)
        assert found.fingerprint == made.checkpoint.fingerprint

    def test_one_changed_element_is_another_model(self, made: Made, tmp_path: Path) -> None:
        folder = _copy(made, tmp_path)
        seen = {made.checkpoint.fingerprint}
        for path in sorted(folder.rglob("*.safetensors")):

            def change(tensors: dict[str, Any]) -> None:
                tensors[min(tensors)].view(-1)[0] += 1

            edit_tensors(path, change)
            seen.add(read("some", folder).fingerprint)
        assert len(seen) == 1 + len(made.checkpoint.parts.models)

    def test_words_behind_the_encoders_limit_are_counted(self, made: Made, store: Store) -> None:
        readers = text_reader.of(made.checkpoint.parts)
        assert {reader.name: reader.limit for reader in readers} == made.known.limits
        kept, cut, longer = "a " * 20, "a ring " * 400, "a ring " * 400 + "a heart"
        for reader in readers:
            short, long = reader.tokens([kept, cut], store)
            assert short <= reader.limit < long
        embedded = [made.backbone.embed(made.loaded, [text]) for text in (cut, longer, kept)]
        assert all(
            (embedded[0][name] == embedded[1][name]).all()
            and (embedded[0][name].shape == embedded[2][name].shape)
            for name in embedded[0]
        ), "what is behind the limit changes nothing"


class TestGenerating:
    @pytest.mark.parametrize(("guidance", "width"), [(1.0, SIDE), (4.5, SIDE), (4.5, 2 * SIDE)])
    def test_it_generates_what_diffusers_own_pipeline_does(
        self, made: Made, guidance: float, width: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exact: list[Any] = []
        decode = type(made.backbone).decode

        def seen(backbone: Backbone, pipeline: Any, latents: Any) -> Any:
            exact.append(decode(backbone, pipeline, latents))
            return exact[-1]

        monkeypatch.setattr(type(made.backbone), "decode", seen)
        levels = np.stack(made.sampler(guidance=guidance, width=width).generate(PROMPTS))
        ours = (exact[0] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
        theirs = made.by_hand(guidance, width)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        assert np.abs(levels - 255 * theirs).max() <= 1
        assert theirs.std() > 0.01
        assert (levels[0] != levels[1]).any()

    def test_guidance_and_the_prompt_matter(self, made: Made) -> None:
        weak, strong = (made.sampler(guidance=one).generate(PROMPTS)[0] for one in (1.0, 6.0))
        assert (weak != strong).any()
        other = made.sampler(guidance=6.0).generate([Prompt("rings", PROMPTS[0].seed)])[0]
        assert (other != strong).any()

    def test_what_is_trained_is_what_the_pipeline_samples_with(self, made: Made) -> None:
        import torch

        seen: list[tuple[Any, Any, Any]] = []

        def watch(_: Any, given: Any, named: Any, found: Any) -> None:
            noisy = named.get("hidden_states", given[0] if given else None)
            time = named.get("timestep", given[1] if len(given) > 1 else None)
            seen.append((noisy.clone(), time, found[0].clone()))

        hook = made.denoiser.register_forward_hook(watch, with_kwargs=True)
        made.sampler(guidance=1.0).generate(PROMPTS)
        hook.remove()
        assert len(seen) >= 2
        text = made.backbone.embed(made.loaded, [prompt.text for prompt in PROMPTS])
        for noisy, time, expected in seen:
            times = torch.as_tensor(time).expand(2) / made.known.times
            with torch.no_grad():
                predicted = made.backbone.predict(made.denoiser, noisy, times, text, SIZE)
            torch.testing.assert_close(predicted, expected[:, : noisy.shape[1]])

    def test_what_is_encoded_is_decoded_to_what_the_autoencoder_makes_of_it(
        self, made: Made
    ) -> None:
        import torch

        vae = made.loaded.vae
        pixels = 2 * torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) - 1
        with torch.inference_mode():
            found = vae.encode(pixels)
            latents = found.latent_dist.mean if hasattr(found, "latent_dist") else found.latent
            mean, std = made.backbone.encode(made.loaded, pixels)
            torch.testing.assert_close(
                made.backbone.decode(made.loaded, mean), vae.decode(latents).sample
            )
        assert mean.shape == std.shape == latents.shape
        assert (std >= 0).all()


class TestTraining:
    @pytest.mark.parametrize(
        "profile", [LITE, MODERATE, STANDARD], ids=["lite", "moderate", "standard"]
    )
    def test_a_profile_trains_its_parameters_and_leaves_everything_else(
        self, made: Made, trained: Family, profile: ProfileSettings
    ) -> None:
        own = {name: tensor.clone() for name, tensor in made.denoiser.state_dict().items()}
        tuned = trained.finetune(profile)
        variant = finetuning.apply(made.denoiser, made.backbone, profile, tuned.tensors)
        changed = _differing(dict(variant.state_dict()), own)
        if profile is LITE:
            layers = {name.partition(".lora_")[0] for name in tuned.tensors}
            assert layers == made.known.lite
            assert changed == {f"{layer}.weight" for layer in layers}
        elif profile is MODERATE:
            assert tuned.tensors.keys() == changed == made.known.moderate
        else:
            parameters = dict(made.denoiser.named_parameters())
            assert tuned.tensors.keys() == parameters.keys()
            assert changed <= parameters.keys()
            assert len(changed) > 0.9 * len(parameters)

    def test_few_pictures_are_learned_by_heart(self, made: Made, trained: Family) -> None:
        assert _learns(trained) < made.known.learned

    def test_under_mixed_precision_what_is_frozen_stays_in_the_checkpoints_dtype(
        self, made: Made, trained: Family
    ) -> None:
        import torch

        half = copy.copy(trained)
        half.pipeline = made.checkpoint.pipeline("cpu", "bfloat16")
        tuned = half.finetune(MODERATE, mixed_precision="bf16")
        assert {tensor.dtype for tensor in tuned.tensors.values()} == {torch.float32}
        assert all(np.isfinite([tuned.first_loss, tuned.last_loss]))
        images = Sampler(
            half.pipeline,
            made.backbone,
            settings(height=SIDE, width=SIDE, steps=1, dtype="bfloat16"),
        ).generate(PROMPTS)
        assert images[0].std() > 0


class TestCounting:
    def test_generating_costs_what_torch_counts(
        self, made: Made, flops: Flops, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        sampler = made.sampler()
        sampler._embed([""] * 2, "a test")
        monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            sampler.generate(PROMPTS)
        assert counter.get_total_flops() == 2 * (flops.generation() + flops.text)
        memory = Memory(made.checkpoint.parts, sampler.settings, flops)
        assert memory.generation() > memory.weights
        assert memory.weights < memory.training(LITE, OptimizerSettings(batch=1))

    def test_training_costs_what_torch_counts(self, made: Made, flops: Flops) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        with torch.no_grad():
            text = made.backbone.embed(made.loaded, ["a heart"] * 2)
        latents, _ = made.backbone.encode(made.loaded, torch.zeros(2, 3, *SIZE))
        for profile in (LITE, STANDARD):
            denoiser, parameters = finetuning.trainable(
                made.denoiser, made.backbone, profile, frozen=torch.float32
            )
            with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
                predicted = made.backbone.predict(
                    denoiser.train(), latents, torch.tensor([5.0, 900.0]), text, SIZE
                )
                predicted.square().mean().backward()
            assert 2 * flops.training(profile, 2) == counter.get_total_flops()
            assert flops.parameters(profile) == sum(one.numel() for one in parameters.values())


def test_auraflow_has_positions_for_so_many_pixels() -> None:
    from spqr_tests.checkpoint.backbones.auraflow import BACKBONE

    old, new = (one.configs for one in FAMILIES["auraflow"].published)
    BACKBONE.check(settings(height=1024, width=1024), old)
    BACKBONE.check(settings(height=1024, width=1536), new)
    with pytest.raises(InputError) as refused:
        BACKBONE.check(settings(height=1024, width=1536), old)
    assert (
        str(refused.value)
        == "sampler.width is 1536, and this AuraFlow checkpoint has positions for 1024 pixels."
    )
