"""Memory that does not suffice: told from other errors, said in a sentence, and given back."""

import gc
import weakref

import pytest
import torch

from spqr_tests.errors import EvidenceError
from spqr_tests.store import memory
from spqr_tests.store.computing import computing

# As torch and the libraries that it calls report it.
EXHAUSTED = [
    torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"
        " of which 1.2 GiB is free.\nIncluding non-PyTorch memory"
    ),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory:"
        " you tried to allocate 4398046511104 bytes. Error code 12 (Cannot allocate memory)"
    ),
]


@pytest.mark.parametrize("error", EXHAUSTED, ids=lambda error: str(error)[:40])
@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_it_is_one_sentence_that_says_what_to_do(error: RuntimeError, device: str) -> None:
    with pytest.raises(EvidenceError) as refused, computing(device):
        raise error
    said = str(refused.value)
    assert said.startswith(f"The memory of the device {device} does not suffice: end what else")
    assert "smaller sampler.micro_batch or finetuning.batch" in said
    assert "\n" not in said
    assert refused.value.__cause__ is error


def test_what_torch_itself_raises_is_recognised() -> None:
    with pytest.raises(EvidenceError, match="The memory of the device cpu"), computing("cpu"):
        torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("out of memory"),
        EvidenceError("Fine-tuning does not fit (CUDA error: out of memory)."),
    ],
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, computing("cpu"):
        raise error
    assert raised.value is error


def test_what_failed_keeps_no_memory_while_its_error_is_kept() -> None:
    kept = []

    def fail() -> None:
        tensor = torch.ones(3)
        kept.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("out of memory.")

    with pytest.raises(EvidenceError) as refused, computing("cpu"):
        fail()
    assert refused.value.__cause__ is not None
    assert kept[0]() is None


def test_what_refers_to_itself_is_given_back() -> None:
    tensor = torch.ones(3)
    tensor.itself = tensor  # type: ignore[attr-defined]
    kept = weakref.ref(tensor)
    gc.disable()
    try:
        del tensor
        assert kept() is not None
        memory.release()
        assert kept() is None
    finally:
        gc.enable()
