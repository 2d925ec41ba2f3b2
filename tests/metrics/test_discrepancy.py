"""KID and CMMD: as published, and with a jackknife that scatters as fresh sets do."""

import itertools
from typing import Any

import numpy as np
import pytest

from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import discrepancy
from spqr_tests.metrics.distances import measured
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.metrics.fid import frechet_distance
from spqr_tests.metrics.jackknife import Jackknife
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.metrics.features import _features, _read


def _discrepancy(name: str, one: Any, other: Any, clusters: Any = None) -> Jackknife:
    kernel = discrepancy.KERNELS[name]
    return discrepancy.unbiased(kernel, one.astype(np.float64), other.astype(np.float64), clusters)


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
    assert _discrepancy(name, one, other).value == pytest.approx(
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
    found = _discrepancy("kid", one, other).value
    assert found == pytest.approx(float(metric.compute()[0]), rel=1e-6)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_its_expectation_does_not_depend_on_the_number_of_pictures_and_that_of_fid_does(
    name: str,
) -> None:
    one, other = _features(0, 9), _features(1, 9)
    few = [list(rows) for rows in itertools.combinations(range(9), 4)]
    assert np.mean([_discrepancy(name, one, other[rows]).value for rows in few]) == pytest.approx(
        _discrepancy(name, one, other).value, rel=1e-9
    )
    assert np.mean([frechet_distance(one, other[rows]) for rows in few]) > 1.05 * frechet_distance(
        one, other
    )


@pytest.mark.parametrize("subset", [25, 40])
def test_kid_of_subsets_is_the_mean_of_torchmetrics(subset: int) -> None:
    """The customary KID is a mean over random subsets, around that of the whole sets."""
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    one, other = _features(0, 60, 32), _features(1, 60, 32)
    torch.manual_seed(0)
    metric = KernelInceptionDistance(
        feature=torch.nn.Identity(), subsets=400, subset_size=subset
    ).set_dtype(torch.float64)
    metric.update(torch.from_numpy(one.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(other.astype(np.float64)), real=False)
    mean, spread = (float(found) for found in metric.compute())
    assert _discrepancy("kid", one, other).value == pytest.approx(mean, abs=4 * spread / 20)


def test_cmmd_is_the_published_formula() -> None:
    """Jayasumana et al. (arXiv 2401.09603), by hand: sigma is 10, times 1,000, on unit vectors."""
    one = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    other = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
    # Squared distances: of the pairs within each set, and across.
    within, beyond = (2.0, 0.8, 0.4), (4.0, 2.0, 2.0)
    across = (0.0, 4.0, 2.0, 2.0, 2.0, 4.0, 0.8, 3.2, 3.6)

    def mean(squares: tuple[float, ...]) -> float:
        return float(np.mean(np.exp(-np.array(squares) / (2 * 10**2))))

    expected = 1000 * (mean(within) + mean(beyond) - 2 * mean(across))
    assert _discrepancy("cmmd", one, other).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [5, 40])
def test_the_published_code_of_cmmd_adds_pairs_of_a_picture_with_itself(n: int) -> None:
    """Its estimator is the biased one: each set's mean takes in the diagonal, which is 1."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in _unit(n))

    def mean(first: Any, second: Any) -> float:
        squares = ((first[:, None] - second[None]) ** 2).sum(axis=-1)
        return float(np.exp(-squares / 200).mean())

    biased = 1000 * (mean(one, one) + mean(other, other) - 2 * mean(one, other))
    diagonal = sum((1000 - 1000 * mean(rows, rows)) / (n - 1) for rows in (one, other))
    found = _discrepancy("cmmd", one, other)
    assert found.value == pytest.approx(biased - diagonal, rel=1e-9)
    assert found.value < biased


def _unit(n: int) -> tuple[Any, Any]:
    return _features(0, n).astype(np.float64), _features(1, n).astype(np.float64)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
@pytest.mark.parametrize("images", [1, 3])
def test_pseudo_values_leave_out_a_prompt_at_a_time(name: str, images: int) -> None:
    one, other = _features(0, 11), _features(1, 4 * images)
    clusters = np.repeat(np.arange(4), images) if images > 1 else None
    prompt = np.repeat(np.arange(4), images)
    found = _discrepancy(name, one, other, clusters)
    left = np.array(
        [
            _discrepancy(
                name,
                one,
                other[prompt != row],
                None if clusters is None else np.repeat(np.arange(3), images),
            ).value
            for row in range(4)
        ]
    )
    np.testing.assert_allclose(found.pseudo, found.value + 3 * (left.mean() - left), rtol=1e-8)
    # Prompts of one size: the pseudo-values of a U-statistic average to it on their own.
    assert 4 * found.value - 3 * left.mean() == pytest.approx(found.value, rel=1e-9)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_images_of_one_prompt_are_not_compared_with_each_other(name: str) -> None:
    """Copies of each image, as images of its prompt, leave the estimate as it is."""
    one, other = _features(0, 11), _features(1, 6)
    copies = _discrepancy(name, one, np.repeat(other, 3, axis=0), np.repeat(np.arange(6), 3))
    plain = _discrepancy(name, one, other)
    assert copies.value == pytest.approx(plain.value, rel=1e-9)
    np.testing.assert_allclose(copies.pseudo, plain.pseudo, rtol=1e-8)
    assert copies.skewness == pytest.approx(plain.skewness, rel=1e-6)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_draws_scatter_around_the_estimate_as_much_as_fresh_sets_do(name: str) -> None:
    one, pool = _features(0, 100), _features(1, 6000) + _features(0, 1)
    found = _discrepancy(name, one, pool[:150])
    draws = found.draws(2000, np.random.default_rng(0))
    assert draws.shape == (2000,)
    assert np.median(draws) == pytest.approx(found.value, abs=0.2 * draws.std())
    fresh = [_discrepancy(name, one, rows).value for rows in np.split(pool, 40)]
    assert draws.std() == pytest.approx(np.std(fresh, ddof=1), rel=0.4)
    assert found.error == pytest.approx(draws.std(), rel=0.1)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_it_does_not_depend_on_how_much_is_held_at_a_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = _features(0, 23), _features(1, 17)
    whole = _discrepancy(name, one, other)
    monkeypatch.setattr(discrepancy, "_ROWS", 5)
    found = _discrepancy(name, one, other)
    assert found.value == pytest.approx(whole.value, rel=1e-9)
    assert found.skewness == pytest.approx(whole.skewness, rel=1e-6)
    np.testing.assert_allclose(found.pseudo, whole.pseudo, rtol=1e-9)


@pytest.mark.parametrize("name", ["kid", "cmmd"])
def test_images_that_are_all_the_same_have_no_interval(name: str) -> None:
    found = _discrepancy(name, _features(0, 9), np.repeat(_features(1, 1), 7, axis=0))
    draws = found.draws(50, np.random.default_rng(0))
    assert np.ptp(draws) < 1e-6 * abs(found.value)


def test_the_second_opinion_of_a_clip_model_is_cmmd(
    store: Store, encoder: DualEncoder, reference: list[KnownPicture], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    assert encoder.discrepancy == "cmmd"
    found = measured(store, encoder, "cmmd", reference, drawings)
    assert found.value == pytest.approx(_pair_by_pair("cmmd", real, fake), abs=1e-6)
