"""FID: against references written by hand, and torchmetrics' own."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import linalg

from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import embedding
from spqr_tests.metrics.distances import known_error, measured
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.metrics.fid import frechet_distance
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.settings.prompts import Distance
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.metrics.features import _features, _read

DISTANCES: tuple[Distance, ...] = ("fid", "kid", "cmmd")


def _by_hand(one: Any, other: Any) -> float:
    """The Frechet distance of two Gaussians, as Heusel et al. write it."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(first @ second)
    return float(
        ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root.real)
    )


def _by_torchmetrics(one: Any, other: Any) -> float:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    identity = torch.nn.Identity()
    identity.num_features = one.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=identity).set_dtype(torch.float64)
    for rows, real in ((one, True), (other, False)):
        metric.update(torch.from_numpy(rows.astype(np.float64)), real=real)
    return float(metric.compute())


# More pictures than features, as many, and fewer: each way round the matrices have other shapes.
SIZES = [
    (60, 60, 12),
    (60, 13, 12),
    (13, 400, 12),
    (400, 13, 12),
    (20, 30, 64),
    (30, 20, 64),
    (100, 20, 64),
    (20, 100, 64),
]


@pytest.mark.parametrize(("m", "n", "width"), [size for size in SIZES if min(size[:2]) > size[2]])
def test_fid_is_the_frechet_distance_of_two_gaussians(m: int, n: int, width: int) -> None:
    one, other = _features(0, m, width), _features(1, n, width)
    assert frechet_distance(one, other) == pytest.approx(_by_hand(one, other), rel=1e-6)


@pytest.mark.parametrize(("m", "n", "width"), [*SIZES, (70, 60, 512)])
def test_fid_is_what_torchmetrics_computes(m: int, n: int, width: int) -> None:
    one, other = _features(0, m, width), _features(1, n, width)
    assert frechet_distance(one, other) == pytest.approx(_by_torchmetrics(one, other), rel=1e-6)


@pytest.mark.parametrize(("m", "n", "width"), SIZES)
def test_each_distance_without_a_group_is_that_of_the_rows_left(m: int, n: int, width: int) -> None:
    reference, candidate = _features(0, m, width), _features(1, n, width)
    groups = np.random.default_rng(7).permutation(n) % 5
    expected = [frechet_distance(reference, candidate[groups != group]) for group in range(5)]
    np.testing.assert_allclose(Frechet(reference).without(candidate, groups), expected, rtol=1e-6)


def test_fid_of_a_set_with_itself_is_zero() -> None:
    assert 0 <= frechet_distance(_features(0), _features(0)) < 1e-9


def test_fid_is_symmetric() -> None:
    assert frechet_distance(_features(0), _features(1)) == pytest.approx(
        frechet_distance(_features(1), _features(0)), rel=1e-9
    )


def test_fid_grows_with_the_distance_of_the_means() -> None:
    near, far = (
        frechet_distance(_features(0), _features(0) + shift)
        for shift in (np.float32(0.1), np.float32(1))
    )
    assert near == pytest.approx(12 * 0.1**2, rel=1e-4)
    assert far == pytest.approx(12, rel=1e-4)


def test_fid_of_one_picture_repeated_is_the_distance_of_the_means_and_the_references_variance() -> (
    None
):
    real, same = _features(0), np.repeat(_features(1)[:1], 9, axis=0)
    expected = ((real.mean(axis=0, dtype=np.float64) - same[0]) ** 2).sum() + np.cov(
        real.astype(np.float64), rowvar=False
    ).trace()
    assert frechet_distance(real, same) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(Frechet(real).without(same, np.arange(9) % 3), expected, rtol=1e-9)


def test_fid_of_generations_is_that_of_their_embeddings(
    store: Store, encoder: DualEncoder, reference: list[KnownPicture], drawings: list[Generation]
) -> None:
    value = measured(store, encoder, "fid", reference, drawings).value
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    assert value == pytest.approx(frechet_distance(real, fake), rel=1e-9)
    assert value == pytest.approx(_by_torchmetrics(real, fake), rel=1e-6)


def test_pseudo_values_are_the_jackknifes_around_fid(
    store: Store, encoder: DualEncoder, reference: list[KnownPicture], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    found = measured(store, encoder, "fid", reference, drawings)
    value, pseudo = found.value, found.pseudo
    left = np.array([frechet_distance(real, np.delete(fake, row, axis=0)) for row in range(4)])
    assert sorted(pseudo) == pytest.approx(sorted(value + 3 * (left.mean() - left)), rel=1e-6)
    error = known_error(store, encoder, "fid", reference, drawings)
    assert error == pytest.approx(np.sqrt(3 / 4 * ((left - left.mean()) ** 2).sum()), rel=1e-6)
    assert known_error(store, encoder, "fid", reference, drawings[:3]) is None


def test_generations_of_one_prompt_are_left_out_together(
    store: Store, encoder: DualEncoder, reference: list[KnownPicture], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    alike = [
        replace(one, prompt=Prompt(f"prompt {number % 2}", number))
        for number, one in enumerate(drawings)
    ]
    found = measured(store, encoder, "fid", reference, alike)
    value, pseudo = found.value, found.pseudo
    left = np.array([frechet_distance(real, fake[row::2]) for row in range(2)])
    assert sorted(pseudo) == pytest.approx(sorted(value + left.mean() - left), rel=1e-6)
    for name, units in itertools.product(DISTANCES, (2, 4)):
        images = alike if units == 2 else drawings
        assert len(measured(store, encoder, name, reference, images).pseudo) == units, (
            "what is stored of one is not taken for the other"
        )


def test_many_generations_are_left_out_in_a_hundred_groups(
    store: Store, encoder: DualEncoder, reference: list[KnownPicture], drawings: list[Generation]
) -> None:
    many = [
        replace(drawings[number % 4], prompt=Prompt(f"prompt {number}", 0)) for number in range(130)
    ]
    found = [
        measured(Store(store.folder / name, "run"), encoder, "fid", reference, many).pseudo
        for name in "ab"
    ]
    assert found[0].shape == (100,)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", DISTANCES)
def test_two_pictures_have_a_jackknife(
    store: Store,
    encoder: DualEncoder,
    reference: list[KnownPicture],
    drawings: list[Generation],
    name: Distance,
) -> None:
    found = measured(store, encoder, name, reference, drawings[:2])
    assert found.pseudo.mean() == pytest.approx(found.value)
    assert np.isfinite(found.draws(9, np.random.default_rng(0))).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_it_is_computed_once(
    store: Store,
    encoder: DualEncoder,
    reference: list[KnownPicture],
    drawings: list[Generation],
    monkeypatch: pytest.MonkeyPatch,
    name: Distance,
) -> None:
    found = measured(store, encoder, name, reference, drawings)
    monkeypatch.setattr(embedding, "embed", lambda *_: pytest.fail("computed again"))
    again = measured(Store(store.folder, "next run"), encoder, name, reference, drawings)
    assert (again.value, again.skewness, again.least) == (found.value, found.skewness, found.least)
    np.testing.assert_array_equal(again.pseudo, found.pseudo)
    assert known_error(store, encoder, name, reference, drawings) == again.error


@pytest.mark.parametrize("name", DISTANCES)
def test_one_generation_is_an_error(
    store: Store,
    encoder: DualEncoder,
    reference: list[KnownPicture],
    drawings: list[Generation],
    name: Distance,
) -> None:
    with pytest.raises(EvidenceError, match=f"{name.upper()} needs at least two"):
        measured(store, encoder, name, reference, drawings[:1])
