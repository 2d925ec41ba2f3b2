"""Recipes on the embedded base: trained through the store, sampled with all that was trained."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import optimizers
from spqr_tests.generation.generations import ImageSource, generate
from spqr_tests.generation.training_state import Keeper
from spqr_tests.generation.variants import Variants
from spqr_tests.run import sources
from spqr_tests.settings import recipes
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.store import libraries, tensors
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from spqr_tests.verdict.names import Variant
from tests.generation.families import Family, _differing
from tests.generation.recipes import profile
from tests.generation.test_recipes import _fast, _KilledError, _train
from tests.tiny import protocol, settings, silent

PROMPTS = [Prompt("a red circle", seed) for seed in range(4)]
OF_SD = tuple(
    name
    for name, path in PACKAGED.recipes.items()
    if "Stable Diffusion" in recipes.load(path).families
)
SIDE = 32
CLASS_IMAGES = 6


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return sources.checkpoint(PACKAGED, "embedded:base", Path())


@pytest.fixture
def variants_of(base: Checkpoint, store: Store) -> Callable[..., tuple[Variants, Cost]]:
    """The embedded base's variants by one profile, and what they spend."""

    def made(found: ProfileSettings) -> tuple[Variants, Cost]:
        cost = Cost()
        asked = protocol(
            sampler=settings(height=SIDE, width=SIDE, scheduler="ddim"),
            profiles={"mine": found},
            score={"headline_profile": "mine"},
        )
        again = Store(store.folder, "run")
        return (
            Variants(base, base.fingerprint, asked, "cpu", again, cost, silent, silent),
            cost,
        )

    return made


def _short(name: str) -> ProfileSettings:
    found = _fast(name, steps=3, batch=2)
    if found.prior is None:
        return found
    prior = found.prior.model_copy(update={"images": CLASS_IMAGES})
    return found.model_copy(update={"prior": prior})


def _digests(variants: Variants, source: ImageSource, cost: Cost) -> list[str]:
    found = generate(variants._store, source, PROMPTS, cost, silent, "some")
    return [one.digest for one in found]


@pytest.mark.parametrize("name", OF_SD)
def test_a_recipes_variant_is_trained_once_kept_and_sampled(
    variants_of: Callable[..., tuple[Variants, Cost]], benign_set: BenignSet, name: str
) -> None:
    found = _short(name)
    variants, cost = variants_of(found)
    before = _digests(variants, variants.source(), cost)
    assert variants.stored(Variant("mine", "general"), benign_set) is None
    after = _digests(variants, variants.fine_tuned(Variant("mine", "general"), benign_set), cost)
    class_images = CLASS_IMAGES if found.prior is not None else 0
    assert cost.finetuned == 1
    assert cost.generated == 2 * len(PROMPTS) + class_images
    # A new word changes nothing for prompts that do not have it.
    assert (after == before) is (found.inversion is not None)
    assert _digests(variants, variants.source(), cost) == before, "the checkpoint stays as it was"
    again, spent = variants_of(found)
    assert again.stored(Variant("mine", "general"), benign_set) is not None
    source = again.fine_tuned(Variant("mine", "general"), benign_set)
    assert _digests(again, source, spent) == after
    assert (spent.finetuned, spent.generated) == (0, 0)


def test_what_decides_a_training_is_in_its_key(
    variants_of: Callable[..., tuple[Variants, Cost]], benign_set: BenignSet
) -> None:
    keys = {}
    plain = profile("kohya-lora", steps=3)
    assert plain.text_encoder is not None
    slower = plain.text_encoder.model_copy(update={"learning_rate": 1e-6})
    for label, found in {
        "plain": plain,
        "named": plain.model_copy(update={"recipe": "other", "families": None}),
        "rate": plain.model_copy(update={"learning_rate": 1e-5}),
        "text": plain.model_copy(update={"text_encoder": slower}),
        "off": plain.model_copy(update={"min_snr_gamma": None}),
        "accumulated": plain.model_copy(update={"accumulation": 2}),
        "offset": plain.model_copy(update={"noise_offset": 0.1}),
        "dropped": plain.model_copy(update={"caption_dropout": 0.1}),
        "restarts": plain.model_copy(update={"schedule": "cosine_with_restarts", "cycles": 2}),
        "full": plain.model_copy(update={"optimizer": "adamw"}),
        "caption": plain.model_copy(update={"instance_prompt": "a new ring"}),
    }.items():
        keys[label] = variants_of(found)[0]._recipe("mine", benign_set, 0)
    assert keys["plain"] == keys["named"] == keys["off"]
    rest = [recipe for label, recipe in keys.items() if label not in {"named", "off"}]
    assert all(one != other for i, one in enumerate(rest) for other in rest[:i])
    assert "class" not in keys["plain"]
    dreambooth = variants_of(_short("dreambooth"))[0]._recipe("mine", benign_set, 0)
    assert len(set(dreambooth["class"])) == CLASS_IMAGES  # type: ignore[call-overload]


class _Blockwise(torch.optim.AdamW):
    """Stands in for bitsandbytes: AdamW whose count of steps is a number."""

    def step(self, closure: Any = None) -> Any:
        for state in self.state.values():
            if state:
                state["step"] = torch.tensor(float(state["step"]))
        found = super().step(closure)
        for state in self.state.values():
            state["step"] = int(state["step"])
        return found


def test_eight_bits_are_bitsandbytes_where_it_is_installed_and_said_so(
    families: Callable[[str], Family], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _fast("kohya-lora", steps=5)
    full = found.model_copy(update={"optimizer": "adamw"})
    monkeypatch.setattr(libraries, "version", lambda _: None)
    assert optimizers.in_force(full, "cpu") is None
    assert optimizers.in_force(found, "cuda:1") == {"optimizer": "adamw"}
    family = families("sd1")
    assert not _differing(_train(family, found).tensors, _train(family, full).tensors)
    made: list[type] = []

    class AdamW8bit(_Blockwise):
        def __init__(self, *given: Any, **stated: Any) -> None:
            made.append(type(self))
            super().__init__(*given, **stated)

    module = types.ModuleType("bitsandbytes")
    module.optim = types.SimpleNamespace(AdamW8bit=AdamW8bit)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bitsandbytes", module)
    for version, device, name in (
        ("0.45.1", "cuda", "adamw8bit"),
        ("0.45.1", "cpu", "adamw"),
        ("0.50.2", "cpu", "adamw8bit"),
    ):
        monkeypatch.setattr(libraries, "version", lambda _, version=version: version)
        in_force = optimizers.in_force(found, device)
        assert in_force is not None
        assert in_force["optimizer"] == name
    whole = _train(family, found)
    assert made, "bitsandbytes' optimizer is the one that is used"

    def kill(done: int, _: int) -> None:
        if done == 3:
            raise _KilledError

    with pytest.raises(_KilledError):
        _train(family, found, Keeper(store, "cd" * 32, every=0), kill)
    resumed = _train(family, found, Keeper(Store(store.folder, "later"), "cd" * 32, every=0))
    assert not _differing(resumed.tensors, whole.tensors)


def test_text_encoders_weights_are_in_the_file_beside_the_denoisers(
    variants_of: Callable[..., tuple[Variants, Cost]], benign_set: BenignSet, store: Store
) -> None:
    trained = variants_of(_short("kohya-lora"))[0].trained(Variant("mine", "general"), benign_set)
    path = store.path("finetunes", trained.key, ".safetensors")
    weights, about = tensors.load(path, "finetunes", trained.key)
    of_text = {name for name in weights if name.startswith("text_encoder/")}
    assert of_text
    assert {name.split(".")[-3] for name in of_text} >= {"lora_A", "lora_B"}
    assert {name.rsplit(".lora_", 1)[0].rsplit(".", 1)[-1] for name in of_text} == {
        "q_proj",
        "k_proj",
        "v_proj",
        "out_proj",
        "fc1",
        "fc2",
    }
    of_unet = {name.rsplit(".lora_", 1)[0] for name in weights.keys() - of_text}
    assert any(name.endswith("proj_in") for name in of_unet), "a 1x1 convolution, as kohya's"
    assert any(name.endswith("ff.net.2") for name in of_unet)
    assert about["recipe"]["in_force"] == optimizers.in_force(profile("kohya-lora"), "cpu")
