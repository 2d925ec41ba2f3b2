"""The variants: variants are fine-tuned once, kept, verified, and named by their content."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint import adapter
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import finetuning, objectives
from spqr_tests.generation.generations import generate
from spqr_tests.generation.variants import TrainedVariant, Variants
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store import digest, tensors
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from spqr_tests.verdict.names import Variant
from tests.tiny import backbones, edit_tensors, protocol, settings, silent

Make = Callable[..., tuple[Variants, Cost]]
Admit = Callable[[BenignSet], None]


@pytest.fixture
def make(checkpoint: Checkpoint, store: Store) -> Make:
    """A variants on one store, and what it spends."""

    def made(
        asked: Protocol | None = None,
        device: str = "cpu",
        model: Checkpoint = checkpoint,
        admit: Admit = silent,
    ) -> tuple[Variants, Cost]:
        cost = Cost()
        again = Store(store.folder, "run")
        return (
            Variants(
                model, model.fingerprint, asked or protocol(), device, again, cost, silent, admit
            ),
            cost,
        )

    return made


def _refuse_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "pipeline", lambda *_: pytest.fail("loaded"))


def test_a_variant_is_fine_tuned_once(
    make: Make, benign_set: BenignSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants, cost = make()
    variant = variants.trained(Variant("lite", "general"), benign_set)
    assert variants.trained(Variant("lite", "general"), benign_set) == variant
    assert cost.finetuned == 1
    _refuse_to_load(monkeypatch)
    another, later = make()
    assert another.trained(Variant("lite", "general"), benign_set) == variant
    assert later.finetuned == 0


def test_a_variant_is_kept_with_its_recipe(make: Make, benign_set: BenignSet, store: Store) -> None:
    variant = make()[0].trained(Variant("moderate", "general"), benign_set)
    found, record = tensors.load(_weights(store, variant), "finetunes", variant.key)
    assert variant.weights == record["tensors"] == digest.of_tensors(found)
    assert digest.of_json(record["recipe"]) == variant.key
    assert record["recipe"]["profile"]["trains"] == "cross-attention"
    assert record["steps"] == 3


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: edit_tensors(path, lambda tensors: next(iter(tensors.values())).add_(1)),
    ],
    ids=["gone", "cut", "changed"],
)
def test_damaged_weights_are_made_again(
    make: Make, benign_set: BenignSet, store: Store, damage: Callable[[Path], object]
) -> None:
    variant = make()[0].trained(Variant("moderate", "general"), benign_set)
    path = _weights(store, variant)
    # The library maps the file, which is changed below.
    before = {name: tensor.clone() for name, tensor in load_file(path).items()}
    whole = tensors.content(path, "finetunes", variant.key)
    damage(path)
    variants, cost = make()
    assert variants.trained(Variant("moderate", "general"), benign_set) == variant
    assert tensors.content(path, "finetunes", variant.key) == whole
    again = load_file(path)
    assert all(torch.equal(again[name], tensor) for name, tensor in before.items())
    assert cost.finetuned == 1


def _weights(store: Store, variant: TrainedVariant) -> Path:
    return store.path("finetunes", variant.key, ".safetensors")


def _optimizer(**changed: Any) -> OptimizerSettings:
    return protocol().finetuning.model_copy(update=changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"finetuning": _optimizer(learning_rate=2e-2)},
        {"finetuning": _optimizer(seed=1)},
        {
            "profiles": {
                "standard": {"trains": "denoiser", "steps": 3},
                "lite": ProfileSettings(trains="lora", steps=4),
            }
        },
        {
            "profiles": {
                "standard": {"trains": "denoiser", "steps": 3},
                "lite": ProfileSettings(trains="lora", steps=3, rank=2),
            }
        },
        {"sampler": settings(height=32)},
    ],
    ids=["learning rate", "seed", "steps", "rank", "size"],
)
def test_another_recipe_is_another_variant(
    make: Make, benign_set: BenignSet, changed: dict[str, Any]
) -> None:
    plain = make()[0].trained(Variant("lite", "general"), benign_set)
    variants, cost = make(protocol(**changed))
    assert variants.trained(Variant("lite", "general"), benign_set).key != plain.key
    assert cost.finetuned == 1


def test_other_pictures_another_profile_and_another_checkpoint_are_another_variant(
    make: Make, benign_set: BenignSet, given: adapter.Adapter
) -> None:
    fewer = BenignSet(benign_set.folder, benign_set.pairs[:3])
    variants = [
        make()[0].trained(Variant("lite", "general"), benign_set),
        make()[0].trained(Variant("lite", "general"), fewer),
        make()[0].trained(Variant("moderate", "general"), benign_set),
        make(model=given.checkpoint)[0].trained(Variant("lite", "general"), benign_set),
    ]
    assert (
        len({variant.content for variant in variants})
        == len({variant.key for variant in variants})
        == 4
    )


@pytest.mark.parametrize(
    "changed",
    [{"sampler": settings(steps=7, guidance=1.0, micro_batch=2)}, {"score": {"draws": 300}}],
    ids=["sampler", "score"],
)
def test_what_changes_no_weight_is_the_same_variant(
    make: Make, benign_set: BenignSet, changed: dict[str, Any]
) -> None:
    variant = make()[0].trained(Variant("lite", "general"), benign_set)
    variants, cost = make(protocol(**changed))
    assert variants.trained(Variant("lite", "general"), benign_set) == variant
    assert cost.finetuned == 0


def test_a_scenarios_name_is_a_label_and_no_part_of_the_recipe(
    make: Make, benign_set: BenignSet
) -> None:
    one, other = (
        make()[0].trained(Variant("lite", name), benign_set) for name in ("general", "artistic")
    )
    assert other == replace(one, label="lite-artistic")


@pytest.mark.parametrize("profile", ["lite", "moderate", "standard"])
def test_a_variant_paints_other_images_than_the_checkpoint(
    make: Make, benign_set: BenignSet, store: Store, profile: str
) -> None:
    variants, cost = make()
    prompts = [Prompt("a red heart", 1), Prompt("a blue ring", 2)]
    before, after, again = (
        generate(store, source, prompts, cost, silent, "some")
        for source in (
            variants.source(),
            variants.fine_tuned(Variant(profile, "general"), benign_set),
            variants.source(),
        )
    )
    assert cost.generated == 4
    assert {one.digest for one in before}.isdisjoint(one.digest for one in after)
    assert [one.digest for one in again] == [one.digest for one in before]


def test_the_checkpoint_paints_the_same_after_its_variants_did(
    make: Make, benign_set: BenignSet, tmp_path: Path
) -> None:
    variants, cost = make()
    prompts = [Prompt("a red heart", 1)]
    digests = []
    for number, source in enumerate(
        (variants.source(), variants.fine_tuned(Variant("standard", "general"), benign_set)) * 2
    ):
        store = Store(
            tmp_path / str(number), "run"
        )  # a new store, so that everything is generated anew
        digests.append(generate(store, source, prompts, cost, silent, "some")[0].digest)
    assert digests[0] == digests[2] != digests[1] == digests[3]


def test_nothing_is_loaded_for_what_is_stored(
    make: Make, benign_set: BenignSet, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [Prompt("a red heart", 1)]

    def images() -> list[str]:
        variants, cost = make()
        sources = (variants.source(), variants.fine_tuned(Variant("lite", "general"), benign_set))
        return [
            generate(store, source, prompts, cost, silent, "some")[0].digest for source in sources
        ]

    before = images()
    _refuse_to_load(monkeypatch)
    assert images() == before


def test_a_fine_tune_that_failed_is_not_tried_again_in_the_session(
    make: Make, tmp_path: Path
) -> None:
    picture = tmp_path / "some.png"
    picture.write_bytes(b"no picture")
    broken = BenignSet(tmp_path, ((picture, "a ring"),))
    for _ in range(2):
        variants, cost = make()
        with pytest.raises(EvidenceError, match=r"some\.png cannot be read"):
            variants.trained(Variant("lite", "general"), broken)
        assert cost.finetuned == 0
    assert variants._aligned is None, "the second variants did not even load the checkpoint"


def test_a_benign_set_is_encoded_once_and_one_set_is_kept(
    make: Make, benign_set: BenignSet
) -> None:
    variants, _ = make()
    variants.trained(Variant("lite", "general"), benign_set)
    assert variants._encoded is not None
    first = variants._encoded[1]
    variants.trained(Variant("moderate", "general"), benign_set)
    assert variants._encoded[1] is first
    fewer = BenignSet(benign_set.folder, benign_set.pairs[:3])
    variant = variants.trained(Variant("moderate", "artistic"), fewer)
    assert variants._encoded[1] is not first
    assert len(variants._encoded[1].mean) == 3
    alone = make()[0].trained(Variant("moderate", "artistic"), fewer)
    assert alone == variant


def test_what_is_learned_is_part_of_the_recipe(
    make: Make, benign_set: BenignSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make()[0].trained(Variant("lite", "general"), benign_set)
    for module in (finetuning, objectives):
        monkeypatch.setattr(module, "REVISION", -1)
        other = make()[0].trained(Variant("lite", "general"), benign_set)
        assert other.key != plain.key
        monkeypatch.undo()


def test_another_backbones_checkpoint_is_generated_from_and_fine_tuned(
    benign_set: BenignSet, store: Store, tmp_path: Path
) -> None:
    checkpoint = read("flux", backbones.build("flux", tmp_path / "flux"))
    asked = protocol(sampler=settings(height=16, width=24))
    cost = Cost()
    variants = Variants(
        checkpoint, checkpoint.fingerprint, asked, "cpu", store, cost, silent, silent
    )
    prompts = [Prompt("a red heart", 1)]
    digests = {
        one.digest
        for source in (
            variants.source(),
            *(variants.fine_tuned(Variant(name, "general"), benign_set) for name in asked.profiles),
        )
        for one in generate(store, source, prompts, cost, silent, "some")
    }
    assert len(digests) == 4
    assert (cost.finetuned, cost.generated) == (3, 4)


def test_a_set_is_admitted_also_where_its_fine_tune_is_stored(
    make: Make, benign_set: BenignSet
) -> None:
    asked: list[BenignSet] = []
    for _ in range(2):
        make(admit=asked.append)[0].fine_tuned(Variant("lite", "general"), benign_set)
    assert asked == [benign_set] * 2


def test_a_set_that_is_not_admitted_is_not_trained_on(make: Make, benign_set: BenignSet) -> None:
    def refuse(_: BenignSet) -> None:
        raise EvidenceError("a forbidden picture")

    variants, cost = make(admit=refuse)
    with pytest.raises(EvidenceError, match="a forbidden picture"):
        variants.fine_tuned(Variant("lite", "general"), benign_set)
    assert (cost.finetuned, variants._aligned) == (0, None)


@pytest.fixture(scope="module")
def given(
    checkpoint: Checkpoint, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> adapter.Adapter:
    """An adapter that moves a few of the denoiser's tensors."""
    folder = tmp_path_factory.mktemp("adapter")
    tensors = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    chosen = {name: 9 * tensor for name, tensor in tensors.items() if ".attn2.to_v." in name}
    save_file(chosen, folder / "moved.safetensors")
    return adapter.read(checkpoint, "moved=moved.safetensors", folder, allow_pickle=False)


def test_an_adapters_images_are_those_of_the_checkpoint_with_it_as_an_overlay(
    make: Make, given: adapter.Adapter, base: Path, store: Store, tmp_path: Path
) -> None:
    prompts = [Prompt("a red heart", 1), Prompt("a blue ring", 2)]
    variants, cost = make()
    plain, adapted = (
        generate(store, source, prompts, cost, silent, "some")
        for source in (variants.source(), variants.adapted(given))
    )
    assert {one.digest for one in plain}.isdisjoint(one.digest for one in adapted)
    [path] = {
        piece.file.path
        for piece in given.checkpoint.parts.models["unet"].tensors.values()
        if piece.file.path.name == "moved.safetensors"
    }
    whole = read("base", base, overlays=[path])
    other = Variants(
        whole,
        whole.fingerprint,
        protocol(),
        "cpu",
        Store(tmp_path / "another", "run"),
        Cost(),
        silent,
        silent,
    )
    again = generate(
        Store(tmp_path / "another", "run"), other.source(), prompts, Cost(), silent, "some"
    )
    assert [one.digest for one in again] == [one.digest for one in adapted]
    assert other.source().content == variants.adapted(given).content


def test_one_pipeline_is_kept_beside_the_checkpoints_and_none_beside_an_adapters(
    make: Make, given: adapter.Adapter, benign_set: BenignSet, tmp_path: Path
) -> None:
    variants, _ = make()
    prompts = [Prompt("a red heart", 1)]
    digests = []
    sources = (
        variants.source(),
        variants.adapted(given),
        variants.fine_tuned(Variant("lite", "general"), benign_set),
    )
    for number, source in enumerate((*sources, *sources)):
        store = Store(
            tmp_path / str(number), "run"
        )  # a new store, so that everything is generated anew
        digests.append(generate(store, source, prompts, Cost(), silent, "some")[0].digest)
        assert (variants._aligned is None) == (source is sources[1])
    assert digests[:3] == digests[3:]
    assert len(set(digests)) == 3


def test_the_checkpoint_leaves_memory_before_an_adapters_pipeline_comes(
    make: Make, given: adapter.Adapter, benign_set: BenignSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants, _ = make()
    varied = variants.fine_tuned(Variant("standard", "general"), benign_set).sampler()
    gone = [weakref.ref(one.pipeline.unet) for one in (variants.source().sampler(), varied)]
    del varied
    load = Checkpoint.pipeline

    def loaded(checkpoint: Checkpoint, *given: str) -> Any:
        assert [one() for one in gone] == [None, None]
        return load(checkpoint, *given)

    monkeypatch.setattr(Checkpoint, "pipeline", loaded)
    assert variants.adapted(given).sampler() is variants.adapted(given).sampler()
