"""Computing: nothing that a process or its environment was told before changes a number."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from spqr_tests.store.computing import computing


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
}


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
