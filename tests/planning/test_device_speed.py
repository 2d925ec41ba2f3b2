"""How fast a device computes."""

import pytest
import torch

from spqr_tests.planning import device_speed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_measured_is_a_product_of_matrices(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    times = {256: 0.001, 512: 0.002, 1024: 0.08}

    def seconds(matrix: torch.Tensor) -> float:
        assert (str(matrix.device), str(matrix.dtype)) == ("cpu", f"torch.{dtype}")
        sizes.append(len(matrix))
        return times[len(matrix)]

    monkeypatch.setattr(device_speed, "_seconds", seconds)
    # The best of all sizes, and none after one that takes long.
    assert device_speed.measure("cpu", dtype) == 2 * 512**3 / 0.002
    assert sorted(set(sizes)) == list(times)


def test_a_processor_multiplies() -> None:
    assert 1e8 < device_speed.measure("cpu", "float32") < 1e14
