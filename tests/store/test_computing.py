"""Computing: nothing that a process or its environment was told before changes a number."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
import torch

from spqr_tests.store.computing import computing, exact, repeatable


@contextmanager
def _set(change: Callable[[Any], Any], there: Any, back: Any) -> Iterator[None]:
    change(there)
    try:
        yield
    finally:
        change(back)


def _all() -> dict[str, Any]:
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "device": str(torch.ones(1).device),
        "autocast": torch.is_autocast_enabled("cpu"),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "math": torch.backends.cuda.math_sdp_enabled(),
        "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
        "half math": torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed(),
        "half sums": torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        "bfloat16 sums": torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        "race": torch.backends.cudnn.benchmark,
        "order of arrival": not torch.backends.cudnn.deterministic,
        "tf32": torch.backends.cudnn.allow_tf32,
    }


STATES: dict[str, Callable[[], Any]] = {
    "no grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "threads": lambda: _set(torch.set_num_threads, 2, 1),
    "dtype": lambda: _set(torch.set_default_dtype, torch.float64, torch.float32),
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "matmul": lambda: _set(torch.set_float32_matmul_precision, "medium", "highest"),
    "deterministic": lambda: _set(torch.use_deterministic_algorithms, True, False),
    "flash": lambda: _set(torch.backends.cuda.enable_flash_sdp, False, True),
    "efficient": lambda: _set(torch.backends.cuda.enable_mem_efficient_sdp, False, True),
    "math": lambda: _set(torch.backends.cuda.enable_math_sdp, False, True),
    "cudnn": lambda: _set(torch.backends.cuda.enable_cudnn_sdp, False, True),
    "half math": lambda: _set(torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp, True, False),
    "half sums": lambda: _product("allow_fp16_reduced_precision_reduction"),
    "bfloat16 sums": lambda: _product("allow_bf16_reduced_precision_reduction"),
    "race": lambda: torch.backends.cudnn.flags(enabled=True, benchmark=True),
    "tf32": lambda: torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
}


def _product(name: str) -> AbstractContextManager[None]:
    return _set(partial(setattr, torch.backends.cuda.matmul, name), False, True)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_convolutions_are_the_same_every_time(device: str) -> None:
    with computing(device):
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark


def test_exact_means_float32_in_convolutions() -> None:
    with computing("cuda"):
        assert torch.backends.cudnn.allow_tf32
        with exact():
            assert not torch.backends.cudnn.allow_tf32
            assert torch.backends.cudnn.deterministic
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("before", [False, True])
def test_a_training_on_a_card_is_strict_and_sets_back_what_was(*, before: bool) -> None:
    def found() -> tuple[bool, bool, bool]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        )

    torch.use_deterministic_algorithms(before, warn_only=before)
    try:
        usual = found()
        with repeatable("cpu"):
            assert found() == usual
        with repeatable("cuda"):
            # With a warning only, attention's gradients would not be repeatable.
            assert found() == (True, False, False)
        assert found() == usual
        with pytest.raises(KeyError), repeatable("cuda"):
            raise KeyError
        assert found() == usual
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("before", [None, ":16:8"])
def test_a_card_multiplies_with_a_workspace_that_makes_it_repeatable(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)
    with computing("cpu"):
        assert os.environ.get(name) == before
    with computing("cuda:1"):
        assert os.environ[name] == ":4096:8"
    assert os.environ.get(name) == before


@pytest.mark.parametrize("state", STATES)
def test_it_is_the_same_inside_and_as_before_afterwards(state: str) -> None:
    torch.set_num_threads(1)
    with computing("cpu"):
        usual = _all()
    assert usual["grad"]
    assert not usual["inference"]
    assert usual["threads"] == 1
    with STATES[state]():
        changed = _all()
        assert changed != usual, "the state that is tested changes something"
        with computing("cpu"):
            assert _all() == usual
            weight = torch.ones(2, requires_grad=True)
            (weight.sum() * 2).backward()
            assert weight.grad is not None
        assert _all() == changed
        with pytest.raises(KeyError), computing("cpu"):
            raise KeyError
        assert _all() == changed


@pytest.mark.parametrize(
    "name",
    [
        "ACCELERATE_MIXED_PRECISION",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS",
        "ACCELERATE_USE_FSDP",
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "DIFFUSERS_ATTN_BACKEND",
        "NVIDIA_TF32_OVERRIDE",
        "USE_HUB_KERNELS",
    ],
)
def test_what_a_launcher_says_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "2")
    before = dict(os.environ)
    with computing("cpu"):
        assert set(before) - set(os.environ) == {name}
    assert dict(os.environ) == before


def test_the_rest_of_the_environment_stays() -> None:
    before = dict(os.environ)
    with computing("cpu"):
        assert dict(os.environ) == before
