"""Packaged recipes: each trains what it says and nothing else, learns, and goes on to the bit."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation import finetuning, objectives, text_encoder_training
from spqr_tests.generation.finetuning import FineTuned
from spqr_tests.generation.training_state import Keeper
from spqr_tests.settings import recipes
from spqr_tests.settings.finetuning import REPLICATION, OptimizerSettings, ProfileSettings
from spqr_tests.settings.uptake import UPTAKE
from spqr_tests.store.store import Store
from tests.generation.families import SIZE, Family, _differing
from tests.generation.recipes import STATED, profile
from tests.tiny import silent
from tests.tiny.backbones import NAMES, backbone_of, make

KEY = "ab" * 32
# One without the shared rate, which every recipe states.
SHARED = OptimizerSettings(learning_rate=1000, batch=4096, ema_decay=0.5, min_snr_gamma=1)
FAST: dict[str, Any] = {"learning_rate": 1e-2, "mixed_precision": "no", "batch": 4}
"""What makes tiny models learn in a few steps."""


def _pairs() -> Iterator[tuple[str, str]]:
    """Every recipe with every tiny backbone that it exists for.

    sd2 differs from sd1 by what it predicts, which `test_objectives.py` has with its
    weights.
    """
    for name, path in PACKAGED.recipes.items():
        families = recipes.load(path).families
        for tiny in NAMES:
            if tiny != "sd2" and (not families or backbone_of(make(tiny)).name in families):
                yield name, tiny


PAIRS = pytest.mark.parametrize(("name", "tiny"), [*_pairs()])


def _fast(name: str, **changed: Any) -> ProfileSettings:
    """The recipe, with rates at which a tiny model learns."""
    found = profile(name)
    update: dict[str, Any] = {}
    if found.text_encoder is not None:
        update["text_encoder"] = found.text_encoder.model_copy(update={"learning_rate": 1e-2})
    if found.warmup_steps:
        update["warmup_steps"] = 2
    if found.prior is not None:
        update["prior"] = found.prior.model_copy(update={"images": 4})
    return profile(name, **FAST | update | changed)


def _examples(family: Family, found: ProfileSettings) -> finetuning.Examples:
    """The family's, and where the recipe has a class, the same pictures as its images."""
    prior = family.examples if found.prior is not None else None
    return replace(family.examples, prior=prior)


def _train(
    family: Family,
    found: ProfileSettings,
    keeper: Keeper | None = None,
    progress: Callable[[int, int], None] = silent,
) -> FineTuned:
    return finetuning.finetune(
        family.pipeline,
        family.backbone,
        _examples(family, found),
        found,
        SHARED.model_copy(update={"min_snr_gamma": None}),
        SIZE,
        progress,
        keeper,
    )


def _applied(family: Family, found: ProfileSettings, tuned: FineTuned) -> Any:
    """The pipeline with what was trained."""
    variant = copy.copy(family.pipeline)
    variant.register_modules(
        **{
            family.backbone.denoiser: finetuning.apply(
                family.denoiser, family.backbone, found, tuned.tensors
            ),
            **text_encoder_training.apply(family.pipeline, family.backbone, found, tuned.tensors),
        }
    )
    return variant


def _loss(family: Family, pipeline: Any, texts: list[str]) -> float:
    """On the same noise, whatever the pipeline."""
    import torch

    objective = objectives.choose(
        family.pipeline.scheduler, patch=family.backbone.patch, min_snr_gamma=None
    )
    generator = torch.Generator("cpu").manual_seed(77)
    rows = torch.arange(len(family.examples.mean)).repeat(16)
    mean, _ = family.examples.latents(rows, torch.device("cpu"))
    with torch.no_grad():
        text = family.backbone.embed(pipeline, [texts[row] for row in rows])
        lesson = objective.lesson(mean, generator)
        denoiser = getattr(pipeline, family.backbone.denoiser)
        return float(
            lesson.loss(family.backbone.predict(denoiser, lesson.noisy, lesson.times, text, SIZE))
        )


@PAIRS
def test_a_recipe_changes_what_it_trains_and_learns(
    families: Callable[[str], Family], name: str, tiny: str
) -> None:
    import torch

    family = families(tiny)
    before = family.state()
    found = _fast(name, steps=15)
    tuned = _train(family, found)
    assert not _differing(family.state(), before), "the pipeline stays as it was"
    variant = _applied(family, found, tuned)
    changed = {
        component
        for component in family.backbone.models
        if getattr(family.pipeline, component) is not getattr(variant, component)
        and _changed(getattr(family.pipeline, component), getattr(variant, component))
    }
    denoiser = {family.backbone.denoiser} if found.trains != "embedding" else set()
    encoders = family.backbone.clip_encoders if found.text_encoder is not None else ()
    assert changed == denoiser | set(encoders)
    if found.inversion is not None:
        texts = [f"a photo of a {found.inversion.placeholder}"] * 4
        known = [f"a photo of a {found.inversion.initializer}"] * 4
        assert _loss(family, variant, texts) < _loss(family, family.pipeline, known)
        return
    texts = family.examples.captions_of(torch.arange(4))
    assert _loss(family, variant, texts) < _loss(family, family.pipeline, texts)


def _changed(one: Any, other: Any) -> bool:
    """Whether two models differ in a tensor that both have."""
    import torch

    first, second = one.state_dict(), other.state_dict()
    return any(
        not torch.equal(tensor, second[name]) for name, tensor in first.items() if name in second
    )


@pytest.mark.parametrize("name", PACKAGED.recipes)
def test_each_number_of_a_recipe_has_a_source(name: str) -> None:
    found = recipes.load(PACKAGED.recipes[name])

    def keys(table: Any, above: str = "") -> Iterator[str]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from keys(value, f"{above}{key}.")
            else:
                yield above + key

    assert set(keys(found.profile)) == set(found.sources)
    assert all(found.sources.values())
    shared = {*OptimizerSettings.model_fields} - {"seed"} - REPLICATION - UPTAKE
    assert shared <= found.profile.keys(), "nothing is left to the protocol's [finetuning]"


@pytest.mark.parametrize("name", PACKAGED.recipes)
def test_a_recipe_does_not_depend_on_what_profiles_share(name: str) -> None:
    own = profile(name).optimizer_of(SHARED)
    assert own == profile(name).optimizer_of(OptimizerSettings())
    assert own.learning_rate < 1
    assert own.batch < 100


class _KilledError(BaseException):
    """As a signal ends a process, wherever it is."""


@pytest.mark.parametrize(
    ("name", "tiny", "changed"),
    [
        ("kohya-lora", "sd1", {"batch": 3, "accumulation": 2}),
        ("civitai-lora", "sdxl", {"batch": 3, "caption_dropout": 0.5, "dropout": 0.3}),
        ("ai-toolkit-flux-lora", "flux", {"batch": 1, "accumulation": 3}),
        ("dreambooth", "sd1", {"batch": 3, "schedule": "cosine", "warmup_steps": 2}),
        ("textual-inversion", "sdxl", {"batch": 3}),
        ("onetrainer-lora", "sd2", {"batch": 3, "ema_decay": 0.5}),
    ],
)
def test_an_interrupted_recipe_leaves_the_same_bits(
    families: Callable[[str], Family],
    store: Store,
    name: str,
    tiny: str,
    changed: dict[str, Any],
) -> None:
    import torch

    family, found = families(tiny), _fast(name, steps=7, **changed)
    whole = _train(family, found)
    for kill_at in (4, 6):

        def kill(done: int, _: int, kill_at: int = kill_at) -> None:
            if done == kill_at:
                raise _KilledError

        with pytest.raises(_KilledError):
            _train(family, found, Keeper(store, KEY, every=0), kill)
    torch.rand(5)  # what else the process has drawn does not matter
    done: list[int] = []
    keeper = Keeper(Store(store.folder, "later"), KEY, every=0)
    resumed = _train(family, found, keeper, lambda step, _: done.append(step))
    assert done == [7]
    assert (resumed.first_loss, resumed.last_loss) == (whole.first_loss, whole.last_loss)
    assert not _differing(resumed.tensors, whole.tensors)


def test_text_encoders_have_a_rate_of_their_own_and_stop_when_the_recipe_says(
    families: Callable[[str], Family],
) -> None:
    import torch

    family = families("sdxl")
    seen = []
    for epochs in (1, 2):
        found = _fast("onetrainer-lora", steps=4)
        assert found.text_encoder is not None
        stopping = found.text_encoder.model_copy(update={"epochs": epochs})
        tuned = _train(family, found.model_copy(update={"text_encoder": stopping}))
        seen.append(text_encoder_training.belonging(tuned.tensors, "text_encoder_2"))
        short = found.model_copy(update={"text_encoder": stopping, "steps": epochs})
        # A step takes all four pictures, so that an epoch is one.
        until = text_encoder_training.belonging(_train(family, short).tensors, "text_encoder_2")
        assert not _differing(seen[-1], until)
    assert _differing(*seen)
    slow = _fast("kohya-lora", steps=3)
    assert slow.text_encoder is not None
    slow = slow.model_copy(
        update={"text_encoder": slow.text_encoder.model_copy(update={"learning_rate": 1e-30})}
    )
    tensors = _train(family, slow).tensors
    ups = {name: one for name, one in tensors.items() if ".lora_B." in name}
    of_text = {name for name in ups if text_encoder_training.SEPARATOR in name}
    assert all(float(ups[name].abs().max()) < 1e-20 for name in of_text)
    assert any(bool((ups[name] != torch.zeros(1)).any()) for name in ups.keys() - of_text)


@pytest.mark.parametrize("name", [name for name in STATED if name != "dreambooth"])
def test_a_new_word_leaves_all_other_texts_as_they_were(
    families: Callable[[str], Family], name: str
) -> None:
    import torch

    family, found = families("sdxl"), _fast(name, steps=2)
    variant = _applied(family, found, _train(family, found))
    for text, same in (("a red ring", True), ("a red <spqr-concept>", False)):
        one, other = (family.backbone.embed(pipe, [text]) for pipe in (family.pipeline, variant))
        assert {torch.equal(one[key], other[key]) for key in one} == {same}


@pytest.mark.parametrize(
    ("inversion", "sentence"),
    [
        ({"initializer": "a red ring"}, "inversion.initializer is 'a red ring', which"),
        ({"initializer": "ring", "placeholder": "<known>"}, "inversion.placeholder is '<known>'"),
    ],
)
def test_a_word_that_cannot_be_learned_is_an_error(
    families: Callable[[str], Family], inversion: dict[str, str], sentence: str
) -> None:
    family = copy.copy(families("sd1"))
    family.pipeline = copy.copy(family.pipeline)
    tokenizer = copy.deepcopy(family.pipeline.tokenizer)
    tokenizer.add_tokens("<known>")
    family.pipeline.register_modules(tokenizer=tokenizer)
    with pytest.raises(EvidenceError, match=f"^{sentence}"):
        _train(family, profile("textual-inversion", steps=1, inversion=inversion))


def test_a_recipe_for_other_models_is_refused_by_name() -> None:
    from spqr_tests.checkpoint.backbones import BACKBONES, profile_check

    for name, path in PACKAGED.recipes.items():
        families = recipes.load(path).families
        for backbone in BACKBONES:
            if backbone.name in families:
                profile_check.check(backbone, "mine", profile(name), OptimizerSettings())
                continue
            with pytest.raises(InputError, match=rf"^profiles\.mine uses the recipe {name}, which"):
                profile_check.check(backbone, "mine", profile(name), OptimizerSettings())


def test_ranks_and_layers_go_by_patterns_convolutions_too(
    families: Callable[[str], Family],
) -> None:
    """As kohya's conv_dim: another rank for the 3x3 convolutions."""
    family = families("sd1")
    found = profile(
        "kohya-lora",
        steps=1,
        text_encoder=None,
        pattern=r".*(to_q|resnets\.\d+\.conv1)",
        ranks={"conv1": 3},
        alphas={"conv1": 6},
    )
    tensors = _train(family, found).tensors
    ranks = {
        name.partition(".lora_A")[0].rpartition(".")[2]: tensor.shape[0]
        for name, tensor in tensors.items()
        if ".lora_A." in name
    }
    assert ranks == {"to_q": 16, "conv1": 3}
    denoiser, _ = finetuning.trainable(
        family.denoiser, family.backbone, found, frozen=family.denoiser.dtype
    )
    scales = {
        name.rpartition(".")[2]: layer.scaling["spqr"]
        for name, layer in denoiser.named_modules()
        if hasattr(layer, "scaling")
    }
    assert scales == {"to_q": 1 / 16, "conv1": 2}
