"""An interrupted training goes on from its last state, and leaves the same bits."""

from typing import TYPE_CHECKING, Any

import pytest
import torch

from spqr_tests.checkpoint.backbones.stable_diffusion import BACKBONE
from spqr_tests.data.pictures import BenignSet
from spqr_tests.generation import finetuning
from spqr_tests.generation.batches import Batches
from spqr_tests.generation.finetuning import FineTuned
from spqr_tests.generation.training_state import Keeper
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.store.store import Store
from tests.tiny import SIDE

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

KEY = "ab" * 32
SIZE = (SIDE, SIDE)
STEPS = 7
PROFILES = {
    "lora": ProfileSettings(trains="lora", steps=STEPS, dropout=0.3),
    "cross-attention": ProfileSettings(trains="cross-attention", steps=STEPS),
    "denoiser": ProfileSettings(trains="denoiser", steps=STEPS),
}


class _KilledError(BaseException):
    """As a signal ends a process, wherever it is."""


class _Steps:
    """Progress that notes the steps, and kills the training at one of them."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.done: list[int] = []
        self._kill_at = kill_at

    def __call__(self, done: int, steps: int) -> None:
        assert steps == STEPS
        if done == self._kill_at:
            raise _KilledError
        self.done.append(done)


@pytest.fixture
def run(pipeline: "StableDiffusionPipeline", benign_set: BenignSet) -> Any:
    def run(
        profile: ProfileSettings, keeper: Keeper | None, steps: _Steps, **changed: Any
    ) -> FineTuned:
        optimizer = OptimizerSettings(
            **{"learning_rate": 1e-2, "batch": 3, "mixed_precision": "no"} | changed
        )
        examples = finetuning.encode(pipeline, BACKBONE, benign_set, SIZE, optimizer.batch)
        return finetuning.finetune(
            pipeline, BACKBONE, examples, profile, optimizer, SIZE, steps, keeper
        )

    return run


@pytest.mark.parametrize("ema_decay", [None, 0.5], ids=["plain", "average"])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_an_interrupted_training_leaves_the_same_bits(
    run: Any, store: Store, profile: ProfileSettings, ema_decay: float | None
) -> None:
    whole = run(profile, None, _Steps(), ema_decay=ema_decay)
    # Killed twice: once within an epoch of two batches, once at its end.
    for kill_at in (4, 6):
        with pytest.raises(_KilledError):
            run(profile, Keeper(store, KEY, every=0), _Steps(kill_at), ema_decay=ema_decay)
    torch.rand(5)  # what else the process has drawn does not matter
    steps = _Steps()
    keeper = Keeper(Store(store.folder, "later"), KEY, every=0)
    resumed = run(profile, keeper, steps, ema_decay=ema_decay)
    assert steps.done == [STEPS], "it goes on from the last state, of the step before the kill"
    assert (resumed.first_loss, resumed.last_loss) == (whole.first_loss, whole.last_loss)
    assert resumed.tensors.keys() == whole.tensors.keys()
    for name, tensor in whole.tensors.items():
        assert torch.equal(resumed.tensors[name], tensor), name
    keeper.forget()
    assert keeper.kept() is None


def test_a_state_that_is_damaged_or_of_another_training_is_not_used(run: Any, store: Store) -> None:
    profile = PROFILES["lora"]
    with pytest.raises(_KilledError):
        run(profile, Keeper(store, KEY, every=0), _Steps(4))
    path = store.path("trainings", KEY, ".safetensors")
    other = store.path("trainings", "cd" * 32, ".safetensors")
    other.parent.mkdir(parents=True)
    other.write_bytes(path.read_bytes())
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    for key in (KEY, "cd" * 32):
        steps = _Steps()
        again = Store(store.folder, "later")
        run(profile, Keeper(again, key, every=60), steps)
        assert steps.done == list(range(1, STEPS + 1))
        assert again.damaged == 1


def test_a_short_training_keeps_no_state(run: Any, store: Store) -> None:
    run(PROFILES["lora"], Keeper(store, KEY), _Steps())
    assert not store.path("trainings", KEY, ".safetensors").exists()
    assert not (store.folder / "tmp").exists()


def test_batches_are_epochs_in_another_order_each_time() -> None:
    batches = Batches(5, 2, torch.Generator().manual_seed(3))
    epochs = [torch.cat([batches.draw() for _ in range(3)]).tolist() for _ in range(4)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
