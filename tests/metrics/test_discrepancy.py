"""KID and CMMD: unbiased, and with draws that scatter as fresh sets do."""

import itertools
from typing import Any

import numpy as np
import pytest

from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import discrepancy
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.metrics.fid import frechet_distance, second_opinion
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.metrics.features import _features, _read


def _discrepancy(name: str, one: Any, other: Any, draws: int = 0, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return discrepancy.unbiased(
        discrepancy.KERNELS[name], one.astype(np.float64), other.astype(np.float64), draws, rng
    )


def _similarity(name: str, one: Any, other: Any) -> float:
    """The kernels as the papers write them, for one pair."""
    if name == "kid":
        return float((one @ other / len(one) + 1) ** 3)
    return float(1000 * np.exp(-(np.linalg.norm(one - other) ** 2) / 200))


def _pair_by_pair(name: str, one: Any, other: Any) -> float:
    """The unbiased squared maximum mean discrepancy (Gretton et al. 2012, equation 3), pair by
    pair.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    within = [
        np.mean(
            [
                _similarity(name, rows[i], rows[j])
                for i, j in itertools.permutations(range(len(rows)), 2)
            ]
        )
        for rows in (one, other)
    ]
    return float(sum(within) - 2 * np.mean([_similarity(name, x, y) for x in one for y in other]))


@pytest.mark.parametrize("name", ["kid", "cmmd"])
@pytest.mark.parametrize(("m", "n"), [(9, 9), (12, 7), (2, 5)])
def test_it_is_the_unbiased_discrepancy_of_the_kernel(name: str, m: int, n: int) -> None:
    one, other = _features(0, m), _features(1, n)
    assert _discrepancy(name, one, other)[0] == pytest.approx(
        _pair_by_pair(name, one, other), rel=1e-9
    )


@pytest.mark.parametrize("width", [12, 256])
def test_kid_is_what_torchmetrics_computes(width: int) -> None:
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    one, other = _features(0, 40, width), _features(1, 40, width)
    metric = KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=40)
    metric.update(torch.from_numpy(one.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(other.astype(np.float64)), real=False)
    assert _discrepancy("kid", one, other)[0] == pytest.approx(float(metric.compute()[0]), rel=1e-6)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_its_expectation_does_not_depend_on_the_number_of_pictures_and_that_of_fid_does(
    name: str,
) -> None:
    one, other = _features(0, 9), _features(1, 9)
    few = [list(rows) for rows in itertools.combinations(range(9), 4)]
    assert np.mean([_discrepancy(name, one, other[rows])[0] for rows in few]) == pytest.approx(
        _discrepancy(name, one, other)[0], rel=1e-9
    )
    assert np.mean([frechet_distance(one, other[rows]) for rows in few]) > 1.05 * frechet_distance(
        one, other
    )


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_draws_scatter_around_the_estimate_as_much_as_fresh_sets_do(name: str) -> None:
    one, pool = _features(0, 100), _features(1, 6000) + _features(0, 1)
    value, draws = _discrepancy(name, one, pool[:150], 2000)
    assert draws.shape == (2000,)
    assert draws.mean() == pytest.approx(value, abs=4 * draws.std() / np.sqrt(2000))
    fresh = [_discrepancy(name, one, rows)[0] for rows in np.split(pool, 40)]
    assert draws.std() == pytest.approx(np.std(fresh, ddof=1), rel=0.4)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_it_does_not_depend_on_how_much_is_held_at_a_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = _features(0, 23), _features(1, 17)
    whole = _discrepancy(name, one, other, 4)
    monkeypatch.setattr(discrepancy, "_ROWS", 5)
    for found, expected in zip(_discrepancy(name, one, other, 4), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_two_pictures_have_draws(
    reference: list[KnownPicture], store: Store, encoder: DualEncoder, drawings: list[Generation]
) -> None:
    assert np.isfinite(second_opinion(store, encoder, reference, drawings[:2], 9)[1]).all()


def test_the_second_opinion_of_a_clip_model_is_cmmd(
    store: Store, encoder: DualEncoder, reference: list[KnownPicture], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    value, draws = second_opinion(store, encoder, reference, drawings, 6)
    assert encoder.discrepancy == "cmmd"
    assert value == pytest.approx(_pair_by_pair("cmmd", real, fake), abs=1e-6)
    assert len(set(draws)) == 6
