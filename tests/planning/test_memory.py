"""The predicted memory is what torch's allocator counted on a card.

The figures are `torch.cuda.max_memory_allocated` on one H100, of pipelines with random weights of
the published sizes, generating and training by the suite's own code.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from benchmarks.sizes.architectures import published
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from tests.planning.test_flops import LITE, MODERATE, STANDARD

GB = 1e9
Made = Callable[..., Memory]


@pytest.fixture(scope="module")
def made() -> Made:
    """The memory of a published architecture, its pipeline built once."""

    @cache
    def make(name: str, side: int, batch: int, dtype: str = "float16") -> Memory:
        settings = SamplerSettings(height=side, width=side, micro_batch=batch, dtype=dtype)
        return Memory(published(name), settings, Flops(published(name), settings))

    return make


@pytest.mark.parametrize(
    ("asked", "measured"),
    [
        (("sd1", 512, 8), 6.495),
        (("sd1", 512, 16), 10.791),
        # Decoding is in parts: a larger micro-batch adds little.
        (("sd1", 512, 32), 10.843),
        (("sdxl", 1024, 4), 24.518),
        (("flux-dev", 1024, 2, "bfloat16"), 38.16),
    ],
)
def test_generating(made: Made, asked: tuple[Any, ...], measured: float) -> None:
    assert made(*asked).generation() / GB == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("profile", "measured"), [(LITE, 23.713), (MODERATE, 20.507), (STANDARD, 34.601)]
)
def test_training(made: Made, profile: ProfileSettings, measured: float) -> None:
    memory = made("sd1", 512, 8)
    found = memory.training(profile, OptimizerSettings(batch=16))
    assert found / GB == pytest.approx(measured, rel=0.1)


def test_gradient_checkpointing_and_smaller_batches_take_less(made: Made) -> None:
    memory, whole = made("sd1", 512, 8), OptimizerSettings(batch=16)
    usual = memory.training(LITE, whole)
    assert memory.training(LITE, whole, checkpointing=True) < usual / 2
    assert memory.training(LITE, whole.model_copy(update={"batch": 4})) < usual / 2
    assert memory.training(LITE, whole) == usual


def test_a_moving_average_and_full_precision_take_more(made: Made) -> None:
    memory, plain = made("sd1", 512, 8), OptimizerSettings(batch=1)
    count = 859_520_964
    usual = memory.training(STANDARD, plain)
    kept = memory.training(STANDARD, plain.model_copy(update={"ema_decay": 0.99}))
    assert kept - usual == 4 * count
    full = memory.training(STANDARD, plain.model_copy(update={"mixed_precision": "no"}))
    assert full > usual


def test_attention_is_as_it_was_afterwards(made: Made) -> None:
    """Nothing that is computed later may be without numbers."""
    made("sd1", 512, 8).generation()
    ones = torch.ones(1, 1, 2, 4)
    found = torch.nn.functional.scaled_dot_product_attention(ones, ones, ones)
    assert torch.equal(found, ones)
