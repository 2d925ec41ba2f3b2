"""Computing: what decides a number besides the protocol, held fixed while evidence is made.

A process's settings of torch, and variables of the environment that libraries read, may have been
set by anybody: a launcher, a conftest, a test before this one. None of them is in the protocol.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

from spqr_tests.store import memory

# What launchers (accelerate, torchrun, MPI, SLURM's plugins) tell the processes that they start;
# accelerate would wait for the others, or train in another precision.
_LAUNCHERS = (
    "ACCELERATE_",
    "DEEPSPEED_",
    "FSDP_",
    "MEGATRON_",
    "MV2_COMM_WORLD_",
    "OMPI_COMM_WORLD_",
    "PARALLELISM_CONFIG_",
    "PMI_",
    "TORCHELASTIC_",
    "XLA_",
)
_RANKS = ("RANK", "WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
# Other kernels than the default ones.
_KERNELS = (
    "DIFFUSERS_ATTN_BACKEND",
    "FORK_LAUNCHED",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
    "TORCH_CUDNN_V8_API_DISABLED",
    "TRANSFORMERS_SDPA_FORCE_GQA",
    "USE_HUB_KERNELS",
)
# In which precision products of half precision are summed: torch's defaults. The last came with
# torch 2.7.
_PRODUCTS = {
    "allow_fp16_reduced_precision_reduction": True,
    "allow_bf16_reduced_precision_reduction": True,
    "allow_fp16_accumulation": False,
}
# Matrix products are reproducible with this much workspace or with ':16:8', which is slower, and
# torch refuses them without it where all has to be. It reads this at its first one.
_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def computing(device: str) -> Iterator[None]:
    """Make evidence on `device` ('cpu', 'cuda', 'cuda:N') with settings that are always the same.

    Everything that is set here is set back at the end, whatever happens. `EvidenceError` where the
    device's memory does not suffice.
    """
    with ExitStack() as after:
        after.enter_context(memory.required(device))
        _clear_environment(after)
        if device != "cpu":
            _set_environment(after, *_WORKSPACE)
        # torch and what is imported from here on see that environment.
        _set_torch(after, on_cpu=device == "cpu")
        if device == "cpu":
            _keep_freed_memory()
        yield


@contextmanager
def exact() -> Iterator[None]:
    """Inside of `computing`: float32 is float32 in convolutions too.

    TF32, which cuDNN uses for them unless it is told not to, keeps three digits: a judge's or a
    metric's numbers would depend on the card.
    """
    from torch.backends import cudnn

    with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Inside of `computing`: gradients, too, are the same to the last bit whenever computed.

    On cards attention's are summed in the order of arrival unless torch is strict. It then raises
    RuntimeError for an operation that has no reproducible form; a warning instead would leave
    attention as it is.
    """
    if device == "cpu":
        yield
        return
    import torch
    import torch.utils.deterministic

    deterministic: Any = torch.utils.deterministic
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = deterministic.fill_uninitialized_memory
    # Nothing reads memory before it is written, and filling all of it takes time.
    deterministic.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        deterministic.fill_uninitialized_memory = fills


def _set_environment(after: ExitStack, name: str, value: str) -> None:
    before = os.environ.get(name)
    os.environ[name] = value
    if before is None:
        after.callback(os.environ.pop, name, None)
    else:
        after.callback(os.environ.__setitem__, name, before)


def _clear_environment(after: ExitStack) -> None:
    for name in list(os.environ):
        if name.startswith(_LAUNCHERS) or name in _KERNELS or name.endswith(_RANKS):
            after.callback(os.environ.__setitem__, name, os.environ.pop(name))


def _set_torch(after: ExitStack, *, on_cpu: bool) -> None:
    import torch

    # Without gradients nothing can be trained; what needs none turns them off itself.
    after.enter_context(torch.inference_mode(mode=False))
    after.enter_context(torch.enable_grad())
    for kind in ("cpu", "cuda"):
        if torch.is_autocast_enabled(kind):
            after.enter_context(torch.autocast(kind, enabled=False))
    if torch.get_default_device().type != "cpu":
        after.enter_context(torch.device("cpu"))
    cudnn = torch.backends.cudnn
    if cudnn.is_available():
        # Convolutions chosen by a timing race, or summed in the order of arrival, would differ from
        # run to run.
        after.enter_context(
            cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True)
        )
    attention = torch.backends.cuda
    products = attention.matmul
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    settings: list[tuple[Any, Callable[[Any], Any], Any]] = [
        (torch.get_default_dtype(), torch.set_default_dtype, torch.float32),
        (
            torch.get_float32_matmul_precision(),
            torch.set_float32_matmul_precision,
            "highest",
        ),
        (
            strict,
            partial(torch.use_deterministic_algorithms, warn_only=warns),
            False,
        ),
        (attention.flash_sdp_enabled(), attention.enable_flash_sdp, True),
        (attention.mem_efficient_sdp_enabled(), attention.enable_mem_efficient_sdp, True),
        (attention.math_sdp_enabled(), attention.enable_math_sdp, True),
        (attention.cudnn_sdp_enabled(), attention.enable_cudnn_sdp, True),
        (
            attention.fp16_bf16_reduction_math_sdp_allowed(),
            attention.allow_fp16_bf16_reduction_math_sdp,
            False,
        ),
        *(
            (getattr(products, name), partial(setattr, products, name), wanted)
            for name, wanted in _PRODUCTS.items()
            if hasattr(products, name)
        ),
    ]
    if on_cpu:
        # The number of threads changes the last bits, and xdist's workers would fight over cores.
        settings.append((torch.get_num_threads(), torch.set_num_threads, 1))
        from spqr_tests.store.kernels import Kernels

        if torch.backends.mkldnn.is_available():
            after.enter_context(Kernels())
    for found, change, wanted in settings:
        if found != wanted:
            change(wanted)
            after.callback(change, found)


@cache
def _keep_freed_memory() -> None:
    """Make glibc keep freed blocks.

    Returning and fetching them would take a third of the time of a fine-tuning on a CPU.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent on musl
    if mallopt is not None:
        for parameter, size in (
            (m_mmap_threshold, 2**30),
            (m_trim_threshold, 2**30),
            (m_top_pad, 2**27),
        ):
            mallopt(parameter, size)
