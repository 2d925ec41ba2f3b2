"""The device: what the option accepts, and what it means."""

import pytest

from spqr_tests.errors import InputError
from spqr_tests.store import device


def test_cpu_is_cpu() -> None:
    assert device.resolve("cpu") == "cpu"


def test_auto_takes_cuda_exactly_where_torch_sees_it() -> None:
    import torch

    assert device.resolve("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_auto_is_cpu_where_no_driver_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_DRIVERS", ())
    assert device.resolve("auto") == "cpu"


@pytest.mark.parametrize(
    "asked", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda:0 ", "mps", "auto:0"]
)
def test_anything_else_is_refused_with_what_is_expected(asked: str) -> None:
    with pytest.raises(InputError, match="expected auto, cpu, cuda or cuda:N") as refused:
        device.resolve(asked)
    assert str(refused.value).startswith(f"--spqr-device {asked}:")


def test_a_card_that_is_not_there_is_refused_with_how_many_there_are() -> None:
    import torch

    there = torch.cuda.device_count()
    with pytest.raises(
        InputError,
        match=rf"^--spqr-device cuda:{there}: torch .* sees {there} CUDA devices here\.$",
    ):
        device.resolve(f"cuda:{there}")


@pytest.mark.parametrize("asked", ["cuda", "cuda:7"])
def test_cuda_is_refused_where_there_is_none(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="sees 0 CUDA devices here"):
        device.resolve(asked)
