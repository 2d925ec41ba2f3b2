"""The device evidence is made on, chosen without importing torch where that is possible."""

import ctypes
import os
import re
import sys
from pathlib import Path

from spqr_tests.errors import InputError

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/nvidiactl", "/dev/dxg")


def resolve(asked: str) -> str:
    """'cpu', 'cuda' or 'cuda:N' for what the user asked; 'auto' takes CUDA where torch sees it."""
    match = re.fullmatch(r"(auto|cpu|cuda)|cuda:(\d+)", asked)
    if match is None:
        raise InputError(f"--spqr-device {asked}: expected auto, cpu, cuda or cuda:N.")
    kind = match[1] or "cuda"
    if kind == "cpu" or (kind == "auto" and not any(Path(path).exists() for path in _DRIVERS)):
        return "cpu"
    import torch

    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    index = int(match[2] or 0)
    if index >= torch.cuda.device_count():
        raise InputError(
            f"--spqr-device {asked}: torch {torch.__version__} sees {torch.cuda.device_count()}"
            " CUDA devices here."
        )
    return asked


def prepare(device: str) -> None:
    """Set torch up for repeatable work on `device`; call before the first tensor is made."""
    import torch

    # Convolutions chosen by a timing race differ from run to run.
    torch.backends.cudnn.benchmark = False
    if device == "cpu":
        # The number of threads changes the last bits, and xdist workers would fight over the cores.
        torch.set_num_threads(1)
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep freed blocks: returning and fetching them costs a CPU fine-tune a third of its time."""
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
