"""The device on which evidence is made, chosen without importing torch where possible."""

import ctypes
import os
import re
import sys
from pathlib import Path

from spqr_tests.errors import InputError

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/nvidiactl", "/dev/dxg")


def resolve(asked: str) -> str:
    """'cpu', 'cuda' or 'cuda:N' for what the user asked; 'auto' uses CUDA if torch sees it.

    `InputError` for anything else, and for a CUDA device that torch does not see.
    """
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
    """Set torch up for repeatable work on `device`; call it before making the first tensor."""
    import torch

    # Convolutions chosen by a timing race would differ from run to run.
    torch.backends.cudnn.benchmark = False
    if device == "cpu":
        # The number of threads changes the last bits, and xdist workers would fight over the cores.
        torch.set_num_threads(1)
        _keep_freed_memory()


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
