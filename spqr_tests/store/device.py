"""The device on which evidence is made, chosen without importing torch where possible."""

import os
import platform
import re
from pathlib import Path

from spqr_tests.errors import InputError

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/nvidiactl", "/dev/dxg")


def name(device: str) -> str:
    """What a device is called, for provenance: the card's name, or 'cpu' and its architecture."""
    if device == "cpu":
        return f"cpu ({platform.machine() or 'unknown'})"
    import torch

    return str(torch.cuda.get_device_name(device))


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


def memory(device: str) -> int | None:
    """The bytes of a device: of the card, or of this machine; None where nobody says."""
    if device == "cpu":
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):  # not on every system
            return None
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def cores() -> int:
    """The cores that this process may use; workers of one run share them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = os.environ.get("PYTEST_XDIST_WORKER_COUNT", "")
    return max(1, (usable or 1) // (int(workers) if workers.isdigit() and int(workers) else 1))
