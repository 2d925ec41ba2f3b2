"""Quality: FID and its second opinions, against references written by hand and torchmetrics' own."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy import linalg

from spqr_fixtures.embedded import datasets, scene, weights
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import anchors, discrepancy, embedding
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.metrics.fid import fid, frechet_distance, known_fid_error, second_opinion
from spqr_tests.metrics.frechet import Frechet
from spqr_tests.settings.prompts import QualitySettings
from spqr_tests.store.images import from_png, to_png
from spqr_tests.store.store import Store

GLYPHS = ("heart", "ring", "tree")


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return DualEncoder(f"local-dir:{weights.judge_folder()}", None, "cpu")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Generation]:
    """Four drawings as if they had been generated."""
    folder = tmp_path_factory.mktemp("drawings")
    made = []
    for number, glyph in enumerate(("heart", "skull", "house", "ring")):
        path = folder / f"{number}.png"
        path.write_bytes(to_png(scene.render(scene.Scene(glyph, "red", "white")), {}))
        made.append(
            Generation(Prompt(f"a {glyph}", number), path, from_png(path.read_bytes(), path)[1])
        )
    return made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pictures in files."""
    folder = tmp_path_factory.mktemp("reference")
    rng = np.random.default_rng(3)
    for number in range(12):
        Image.fromarray(scene.render(scene.sample(rng, GLYPHS, scene.STYLES))).save(
            folder / f"{number:02}.png"
        )
    return sorted(folder.glob("*.png"))


def _read(paths: Sequence[Path]) -> list[Any]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def _features(seed: int, n: int = 60, width: int = 12) -> Any:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((n, width)) @ rng.standard_normal((width, width)) / 5
        + rng.standard_normal(width)
    ).astype(np.float32)


# The Frechet distance


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


# FID


def test_fid_of_generations_is_that_of_their_embeddings(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    value, _ = fid(store, encoder, reference, drawings)
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    assert value == pytest.approx(frechet_distance(real, fake), rel=1e-9)
    assert value == pytest.approx(_by_torchmetrics(real, fake), rel=1e-6)


def test_pseudo_values_are_the_jackknifes_around_fid(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    value, pseudo = fid(store, encoder, reference, drawings)
    left = np.array([frechet_distance(real, np.delete(fake, row, axis=0)) for row in range(4)])
    assert sorted(pseudo) == pytest.approx(sorted(value + 3 * (left.mean() - left)), rel=1e-6)
    error = known_fid_error(store, encoder, reference, drawings)
    assert error == pytest.approx(np.sqrt(3 / 4 * ((left - left.mean()) ** 2).sum()), rel=1e-6)
    assert known_fid_error(store, encoder, reference, drawings[:3]) is None


def test_generations_of_one_prompt_are_left_out_together(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    alike = [
        replace(one, prompt=Prompt(f"prompt {number % 2}", number))
        for number, one in enumerate(drawings)
    ]
    value, pseudo = fid(store, encoder, reference, alike)
    left = np.array([frechet_distance(real, fake[row::2]) for row in range(2)])
    assert sorted(pseudo) == pytest.approx(sorted(value + left.mean() - left), rel=1e-6)
    assert len(fid(store, encoder, reference, drawings)[1]) == 4, (
        "what is stored of one is not taken for the other"
    )
    assert (
        second_opinion(store, encoder, reference, alike, 50)[1].std()
        != second_opinion(store, encoder, reference, drawings, 50)[1].std()
    )


def test_many_generations_are_left_out_in_a_hundred_groups(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    many = [
        replace(drawings[number % 4], prompt=Prompt(f"prompt {number}", 0)) for number in range(130)
    ]
    found = [fid(Store(store.folder / name, "run"), encoder, reference, many)[1] for name in "ab"]
    assert found[0].shape == (100,)
    np.testing.assert_array_equal(*found)


def test_two_pictures_have_a_jackknife(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    value, pseudo = fid(store, encoder, reference, drawings[:2])
    assert pseudo.mean() == pytest.approx(value)
    assert np.isfinite(pseudo).all()


MEASURES = [fid, partial(second_opinion, draws=3)]


@pytest.mark.parametrize("measure", MEASURES, ids=["fid", "second opinion"])
def test_it_is_computed_once(
    store: Store,
    encoder: DualEncoder,
    reference: list[Path],
    drawings: list[Generation],
    monkeypatch: pytest.MonkeyPatch,
    measure: Any,
) -> None:
    value, draws = measure(store, encoder, reference, drawings)
    monkeypatch.setattr(embedding, "of_generations", lambda *_: pytest.fail("computed again"))
    again, drawn = measure(Store(store.folder, "next run"), encoder, reference, drawings)
    assert again == value
    np.testing.assert_array_equal(drawn, draws)


@pytest.mark.parametrize("measure", MEASURES, ids=["fid", "second opinion"])
def test_one_generation_is_an_error(
    store: Store,
    encoder: DualEncoder,
    reference: list[Path],
    drawings: list[Generation],
    measure: Any,
) -> None:
    with pytest.raises(EvidenceError, match="FID needs at least two"):
        measure(store, encoder, reference, drawings[:1])


# KID and CMMD


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
    """The unbiased squared maximum mean discrepancy (Gretton et al. 2012, equation 3), pair by pair."""
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
    reference: list[Path], store: Store, encoder: DualEncoder, drawings: list[Generation]
) -> None:
    assert np.isfinite(second_opinion(store, encoder, reference, drawings[:2], 9)[1]).all()


def test_the_second_opinion_of_a_clip_model_is_cmmd(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    real, fake = (
        encoder.embed_images(_read(reference)),
        encoder.embed_images([one.pixels() for one in drawings]),
    )
    value, draws = second_opinion(store, encoder, reference, drawings, 6)
    assert encoder.discrepancy == "cmmd"
    assert value == pytest.approx(_pair_by_pair("cmmd", real, fake), abs=1e-6)
    assert len(set(draws)) == 6


# Anchors


def _settings(best: object, worst: object) -> QualitySettings:
    table = {
        "prompts": "p",
        "reference": "r",
        "reference_images": 4,
        "encoder": "e",
        "anchors_source": "none",
    }
    return QualitySettings.model_validate({**table, "best": best, "worst": worst})


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty pictures of the embedded world."""
    folder = datasets.write_reference(tmp_path_factory.mktemp("glyphs"), 40, seed=3)
    return sorted(folder.glob("*.png"))


def test_anchors_are_the_protocols_numbers(
    store: Store, encoder: DualEncoder, glyphs: list[Path]
) -> None:
    assert anchors.measure(store, encoder, glyphs, 10, _settings(1, 2.5)) == (1.0, 2.5)


def test_measured_anchors_are_real_pictures_and_blurred_ones(
    store: Store, encoder: DualEncoder, glyphs: list[Path]
) -> None:
    best, worst = anchors.measure(store, encoder, glyphs, 15, _settings("reference", "blurred"))
    order = np.random.default_rng(42).permutation(40)
    real = encoder.embed_images(_read([glyphs[row] for row in order[15:]]))
    held = encoder.embed_images(_read([glyphs[row] for row in order[:15]]))
    assert best == pytest.approx(frechet_distance(real, held), rel=1e-6)
    assert worst > 1.5 * best
    # A second time they come from the store.
    assert anchors.measure(
        store, _Blind(encoder), glyphs, 15, _settings("reference", "blurred")
    ) == (best, worst)


class _Blind:
    """An encoder that may not be asked."""

    def __init__(self, encoder: DualEncoder) -> None:
        self.fingerprint, self.discrepancy, self.features = (
            encoder.fingerprint,
            encoder.discrepancy,
            encoder.features,
        )

    def embed_images(self, images: Any) -> Any:
        raise AssertionError(images)


def test_anchors_that_cannot_be_measured_are_refused(
    store: Store, encoder: DualEncoder, glyphs: list[Path]
) -> None:
    with pytest.raises(
        EvidenceError, match=r"holds 39 pictures out of the reference set, which has 40: take more"
    ):
        anchors.measure(store, encoder, glyphs, 39, _settings("reference", 9))
    with pytest.raises(
        EvidenceError, match=r"\(best\) and .* \(worst\), which leave no room between them"
    ):
        anchors.measure(store, encoder, glyphs, 15, _settings("reference", 1e-9))


@pytest.mark.parametrize(
    ("best", "worst", "sentence"),
    [
        ("blurred", 9, "best is 'blurred'; expected is an FID, or 'reference'"),
        (1, "reference", "worst is 'reference'; expected is an FID, or 'blurred'"),
        (9, 1, r"best \(9.0\) must be below worst \(1.0\)"),
        (-1, 1, "expected is an FID, from 0 on"),
    ],
)
def test_anchors_that_mean_nothing_are_refused(best: object, worst: object, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _settings(best, worst)
