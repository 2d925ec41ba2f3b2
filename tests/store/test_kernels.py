"""Kernels: linear layers and dropout on a CPU, against torch's own."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from spqr_tests.store import kernels
from spqr_tests.store.computing import computing
from spqr_tests.store.kernels import Kernels

SETTINGS = {"wide": "AVX512", "narrow": "AVX2"}
"""What torch says of a processor with AVX-512, and of one without."""
SHAPES = [
    ((32, 64, 64), 512),
    ((16, 77, 128), 64),
    ((2, 4096, 64), 64),
    ((8, 8, 16, 32), 48),
    ((256, 96), 32),
    ((16, 4, 64), 64),
    ((17, 33, 64), 64),
]


@pytest.fixture(params=SETTINGS)
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of either kind, whichever this one is: which routine is taken, not what it can do."""
    kernels._is_narrow.cache_clear()
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: SETTINGS[request.param])
    yield request.param
    kernels._is_narrow.cache_clear()


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize(("shape", "out"), SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_a_linear_layer_and_its_gradients_are_torchs(
    shape: tuple[int, ...],
    out: int,
    biased: bool,  # noqa: FBT001
) -> None:
    torch.manual_seed(0)
    found = {}
    for mine in (False, True):
        torch.manual_seed(1)
        rows = torch.randn(shape, requires_grad=True)
        layer = torch.nn.Linear(shape[-1], out, bias=biased)
        if mine:
            with Kernels():
                answer = layer(rows)
        else:
            answer = layer(rows)
        answer.square().sum().backward()
        found[mine] = [answer.detach(), rows.grad, *(one.grad for one in layer.parameters())]
    for ours, theirs in zip(found[True], found[False], strict=True):
        assert ours is not None
        assert theirs is not None
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_is_trained_is_torchs_where_that_uses_the_whole_processor(processor: str) -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(32, 64, 64), torch.randn(512, 64)
    with Kernels():
        seen = functional.linear(rows, weight)
        trained = functional.linear(rows, weight.clone().requires_grad_())
        with torch.no_grad():
            unused = functional.linear(rows, weight.clone().requires_grad_())
    assert ("Convolution" in _made_by(trained)) == (processor == "wide")
    assert torch.equal(unused, seen)
    assert torch.equal(trained, functional.linear(rows, weight)) or processor == "wide"


def _made_by(tensor: torch.Tensor) -> str:
    """The names of the operations behind a tensor."""
    nodes, names = [tensor.grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None:
            names.append(type(node).__name__)
            nodes += [before for before, _ in node.next_functions]
    return " ".join(names)


@pytest.mark.parametrize(
    ("shape", "out", "dtype"),
    [
        ((7, 64), 64, torch.float32),
        ((64, 64, 64), 4, torch.float32),
        ((64, 64, 4), 64, torch.float32),
        ((32, 64, 64), 64, torch.bfloat16),
        ((32, 64, 64), 64, torch.float64),
    ],
    ids=["few rows", "a LoRA's first", "a LoRA's second", "bfloat16", "float64"],
)
def test_what_a_convolution_does_not_speed_up_is_torchs_to_the_last_bit(
    shape: tuple[int, ...], out: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    rows = torch.randn(shape, dtype=dtype)
    weight = torch.randn(out, shape[-1], dtype=dtype)
    with Kernels():
        found = functional.linear(rows, weight)
    assert torch.equal(found, functional.linear(rows, weight))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_its_share_and_scales_the_rest(share: float) -> None:
    ones = torch.ones(1001, 333, requires_grad=True)
    torch.manual_seed(0)
    with Kernels():
        kept = functional.dropout(ones, share)
    left_out = float((kept == 0).float().mean())
    # Six standard errors of a share of 333,333 draws.
    assert left_out == pytest.approx(share, abs=6 * (share * (1 - share) / ones.numel()) ** 0.5)
    assert kept.max().item() == pytest.approx(1 / (1 - share), rel=1e-4)
    kept.sum().backward()
    assert ones.grad is not None
    assert torch.equal(ones.grad == 0, kept == 0)


def test_dropout_follows_the_seed() -> None:
    rows = torch.ones(100, 100)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with Kernels():
            drawn.append(functional.dropout(rows, 0.1))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_dropout_of_nothing_and_of_everything_is_torchs(share: float) -> None:
    rows = torch.ones(100, 100)
    with Kernels():
        found = functional.dropout(rows, share)
        unused = functional.dropout(rows, 0.5, training=False)
    assert torch.equal(found, functional.dropout(rows, share))
    assert torch.equal(unused, rows)


def test_evidence_on_a_cpu_is_made_with_them() -> None:
    torch.manual_seed(0)
    rows, weight = torch.randn(32, 64, 64), torch.randn(512, 64)
    with Kernels():
        expected = functional.linear(rows, weight)
    with computing("cpu"):
        assert torch.equal(functional.linear(rows, weight), expected)
