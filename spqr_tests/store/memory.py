"""Memory: whether it was what did not suffice, and giving it back."""

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from spqr_tests.errors import EvidenceError

# torch's own error is for its allocator alone: libraries that it calls, CUDA itself and the
# allocator of CPUs are reported as RuntimeError with a text.
_TEXTS = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "not enough memory: you tried to allocate",
)


def exhausted(error: BaseException) -> bool:
    """Whether an error means that a device's memory did not suffice."""
    import torch

    if isinstance(error, EvidenceError) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _TEXTS)


def reason(error: BaseException) -> str:
    """What such an error says, in a line."""
    return str(error).partition("\n")[0].rstrip(".")


@contextmanager
def required(device: str) -> Iterator[None]:
    """`EvidenceError` where the memory of `device` does not suffice."""
    try:
        yield
    except RuntimeError as error:  # torch's own error is one
        if not exhausted(error):
            raise
        # The error holds the frames of what failed, and they their memory.
        traceback.clear_frames(error.__traceback__)
        release()
        raise EvidenceError(
            f"The memory of the device {device} does not suffice: end what else uses it, set a"
            " smaller sampler.micro_batch or finetuning.batch, or take a bigger one"
            f" ({reason(error)})."
        ) from error


def release() -> None:
    """Give back what nothing uses any more: objects that refer to each other, and torch's cache."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
