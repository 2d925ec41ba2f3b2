"""Several lengths of one training: each is, to the bit, what a training of that length leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file

from spqr_tests.checkpoint.backbones.stable_diffusion import BACKBONE
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.data.pictures import BenignSet
from spqr_tests.generation import finetuning
from spqr_tests.generation.finetuning import FineTuned
from spqr_tests.generation.training_state import Keeper
from spqr_tests.generation.variants import TrainedVariant, Variants
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store import digest
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from spqr_tests.verdict.names import Variant
from tests.tiny import SIDE, protocol, silent

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

KEY = "ab" * 32
SIZE = (SIDE, SIDE)
STEPS = 7
CURVE = (1, 3, 5)
"""Within an epoch of two batches, and at its end."""
PROFILES = {
    "lora": ProfileSettings(trains="lora", steps=STEPS, dropout=0.3),
    "cross-attention": ProfileSettings(trains="cross-attention", steps=STEPS),
    "denoiser": ProfileSettings(trains="denoiser", steps=STEPS),
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"ema_decay": 0.5},
    "bf16": {"mixed_precision": "bf16"},
    "min-snr": {"min_snr_gamma": 5.0},
}
GENERAL = Variant("standard", "general")

Kept = dict[int, tuple[str, float, float]]


def _seen(tuned: FineTuned) -> tuple[str, float, float]:
    return digest.of_tensors(tuned.tensors), tuned.first_loss, tuned.last_loss


class _KilledError(BaseException):
    """As a signal ends a process, wherever it is."""


@pytest.fixture
def train(pipeline: "StableDiffusionPipeline", benign_set: BenignSet) -> Any:
    def train(
        profile: ProfileSettings,
        on_the_way: tuple[int, ...] = (),
        keeper: Keeper | None = None,
        kill_at: int | None = None,
        kept: Kept | None = None,
        **changed: Any,
    ) -> Kept:
        optimizer = OptimizerSettings(
            **{"learning_rate": 1e-2, "batch": 3, "mixed_precision": "no"} | changed
        )
        found: Kept = {} if kept is None else kept

        def keep(tuned: FineTuned) -> None:
            found[tuned.steps] = _seen(tuned)

        def progress(done: int, steps: int) -> None:
            del steps
            if done == kill_at:
                raise _KilledError

        examples = finetuning.encode(pipeline, BACKBONE, benign_set, SIZE, optimizer.batch)
        keep(
            finetuning.finetune(
                pipeline,
                BACKBONE,
                examples,
                profile,
                optimizer,
                SIZE,
                progress,
                keeper,
                dict.fromkeys(on_the_way, keep),
            )
        )
        return found

    return train


@pytest.mark.parametrize("changed", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_step_of_a_training_is_a_training_of_so_many_steps(
    train: Any, profile: ProfileSettings, changed: dict[str, Any]
) -> None:
    found = train(profile, CURVE, **changed)
    separate: Kept = {}
    for steps in (*CURVE, STEPS):
        train(profile.model_copy(update={"steps": steps}), kept=separate, **changed)
    assert found == separate
    assert len({one for one, _, _ in found.values()}) == len(found), "each step learns something"


@pytest.mark.parametrize("kill_at", [2, 3, 6])
def test_a_killed_training_loses_no_step(train: Any, store: Store, kill_at: int) -> None:
    profile = PROFILES["lora"]
    whole = train(profile, CURVE)
    kept: Kept = {}
    with pytest.raises(_KilledError):
        train(profile, CURVE, Keeper(store, KEY, every=0), kill_at, kept)
    assert kept == {step: one for step, one in whole.items() if step <= kill_at and step in CURVE}
    left = tuple(step for step in CURVE if step not in kept)
    train(profile, left, Keeper(Store(store.folder, "later"), KEY, every=0), None, kept)
    assert kept == whole


def test_a_state_behind_a_step_that_is_missing_is_not_used(train: Any, store: Store) -> None:
    profile = PROFILES["denoiser"]
    whole = train(profile, CURVE)
    with pytest.raises(_KilledError):
        train(profile, CURVE, Keeper(store, KEY, every=0), 6)
    assert train(profile, (1,), Keeper(store, KEY, every=0)) == {
        step: whole[step] for step in (1, STEPS)
    }


Make = Callable[[ProfileSettings], tuple[Variants, Cost]]


@pytest.fixture
def make(checkpoint: Checkpoint, store: Store) -> Make:
    def made(profile: ProfileSettings) -> tuple[Variants, Cost]:
        cost = Cost()
        asked = protocol(profiles={"standard": profile})
        again = Store(store.folder, "run")
        return Variants(
            checkpoint, checkpoint.fingerprint, asked, "cpu", again, cost, silent, silent
        ), cost

    return made


@pytest.fixture
def stored(store: Store) -> Callable[[TrainedVariant], Path]:
    return lambda one: store.path("finetunes", one.key, ".safetensors")


WHOLE = ProfileSettings(trains="denoiser", steps=3, curve=(1, 2, 3))


def _of(steps: int) -> ProfileSettings:
    return ProfileSettings(trains="denoiser", steps=steps)


def test_all_steps_are_of_one_training(make: Make, benign_set: BenignSet) -> None:
    variants, cost = make(WHOLE)
    found = [variants.trained(GENERAL, benign_set, steps=steps) for steps in (None, 1, 2, 3)]
    assert cost.finetuned == 1
    assert found[0] == found[3], "the last step is the variant itself"
    assert len({one.content for one in found}) == 3


def test_a_curve_changes_no_key(make: Make, benign_set: BenignSet) -> None:
    whole = make(WHOLE)[0].trained(GENERAL, benign_set)
    variants, cost = make(_of(3))
    assert variants.trained(GENERAL, benign_set) == whole
    assert cost.finetuned == 0


def test_a_separate_training_finds_the_step(make: Make, benign_set: BenignSet) -> None:
    long = make(WHOLE)[0]
    long.trained(GENERAL, benign_set)
    for steps in (1, 2):
        variants, cost = make(_of(steps))
        assert variants.trained(GENERAL, benign_set) == long.trained(
            GENERAL, benign_set, steps=steps
        )
        assert cost.finetuned == 0


def test_a_step_finds_the_separate_training(
    make: Make, benign_set: BenignSet, stored: Callable[[TrainedVariant], Path]
) -> None:
    separate = [make(_of(steps))[0].trained(GENERAL, benign_set) for steps in (1, 2, 3)]
    written = [stored(one).read_bytes() for one in separate]
    variants, cost = make(WHOLE)
    assert [variants.trained(GENERAL, benign_set, steps=steps) for steps in (1, 2, 3)] == separate
    assert cost.finetuned == 0
    for one in separate:
        stored(one).unlink()
    again = make(WHOLE)[0]
    assert [again.trained(GENERAL, benign_set, steps=steps) for steps in (1, 2, 3)] == separate
    for one, before in zip(separate, written, strict=True):
        tensors = load_file(stored(one))
        assert stored(one).stat().st_size == len(before), "and says the same of itself"
        assert digest.of_tensors(tensors) == one.weights


def test_a_step_that_was_removed_is_made_again_and_nothing_else(
    make: Make, benign_set: BenignSet, stored: Callable[[TrainedVariant], Path]
) -> None:
    first = make(WHOLE)[0]
    found = {steps: first.trained(GENERAL, benign_set, steps=steps) for steps in (1, 2, 3)}
    stored(found[2]).unlink()
    times = {steps: stored(found[steps]).stat().st_mtime_ns for steps in (1, 3)}
    variants, cost = make(WHOLE)
    assert variants.trained(GENERAL, benign_set, steps=2) == found[2]
    assert cost.finetuned == 1
    assert {steps: stored(found[steps]).stat().st_mtime_ns for steps in (1, 3)} == times


def test_steps_of_a_training_by_epochs(make: Make, benign_set: BenignSet) -> None:
    epochs = ProfileSettings(trains="denoiser", epochs=2, curve=(1, 2))
    variants, cost = make(epochs)
    whole = variants.trained(GENERAL, benign_set)
    assert variants.trained(GENERAL, benign_set, steps=2) == whole, "an epoch is one batch here"
    assert variants.trained(GENERAL, benign_set, steps=1).content != whole.content
    assert cost.finetuned == 1
    assert whole.weights == make(_of(2))[0].trained(GENERAL, benign_set).weights
