"""Anchors: the protocol's numbers, or measured on the reference set."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spqr_fixtures.embedded import datasets
from spqr_tests.errors import EvidenceError
from spqr_tests.metrics import anchors
from spqr_tests.metrics.distances import between
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.settings.prompts import Distance, QualitySettings
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.metrics.features import _read


def _settings(best: object, worst: object, **more: object) -> QualitySettings:
    table = {
        "prompts": "p",
        "reference": "r",
        "reference_images": 4,
        "encoder": "e",
        "anchors_source": "none",
    }
    return QualitySettings.model_validate({**table, "best": best, "worst": worst, **more})


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> list[KnownPicture]:
    """Forty pictures of the embedded world."""
    folder = datasets.write_reference(tmp_path_factory.mktemp("glyphs"), 40, seed=3)
    return [KnownPicture.at(path) for path in sorted(folder.glob("*.png"))]


def test_anchors_are_the_protocols_numbers(
    store: Store, encoder: DualEncoder, glyphs: list[KnownPicture]
) -> None:
    assert anchors.measure(store, encoder, glyphs, 10, _settings(1, 2.5)) == (1.0, 2.5)


@pytest.mark.parametrize("distance", ["fid", "kid", "cmmd"])
def test_measured_anchors_are_real_pictures_and_blurred_ones(
    store: Store, encoder: DualEncoder, glyphs: list[KnownPicture], distance: Distance
) -> None:
    settings = _settings("reference", "blurred", distance=distance)
    assert anchors.known(store, encoder, glyphs, 15, settings) is None
    best, worst = anchors.measure(store, encoder, glyphs, 15, settings)
    order = np.random.default_rng(42).permutation(40)
    real = encoder.embed_images(_read([glyphs[row] for row in order[15:]]))
    held = encoder.embed_images(_read([glyphs[row] for row in order[:15]]))
    assert best == pytest.approx(between(distance, real, held), rel=1e-6)
    assert worst > max(0, 1.5 * best)
    # A second time they come from the store.
    assert anchors.measure(store, _Blind(encoder), glyphs, 15, settings) == (best, worst)
    assert anchors.known(store, encoder, glyphs, 15, settings) == (best, worst)
    # Each distance has its own.
    others: list[Distance] = ["fid", "kid", "cmmd"]
    for other in others:
        if other != distance:
            asked = _settings("reference", "blurred", distance=other)
            assert anchors.known(store, encoder, glyphs, 15, asked) is None


class _Blind:
    """An encoder that may not be asked."""

    def __init__(self, encoder: DualEncoder) -> None:
        self.fingerprint, self.computed_with = encoder.fingerprint, encoder.computed_with
        self.discrepancy, self.features = encoder.discrepancy, encoder.features

    def embed_images(self, images: Any) -> Any:
        raise AssertionError(images)


def test_anchors_that_cannot_be_measured_are_refused(
    store: Store, encoder: DualEncoder, glyphs: list[KnownPicture]
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
        ("blurred", 9, "best is 'blurred'; expected an FID, or 'reference'"),
        (1, "reference", "worst is 'reference'; expected an FID, or 'blurred'"),
        (9, 1, r"best \(9.0\) must be below worst \(1.0\)"),
        (-1, 1, r"\(an FID, or what quality.distance says\) from 0 to 1,000,000,000"),
    ],
)
def test_anchors_that_mean_nothing_are_refused(best: object, worst: object, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _settings(best, worst)


def test_the_unit_of_an_anchor_is_the_distances() -> None:
    with pytest.raises(ValidationError, match="expected a KID, or 'reference'"):
        _settings("blurred", 9, distance="kid")
    with pytest.raises(ValidationError, match="a lower CMMD is better"):
        _settings(9, 1, distance="cmmd")
    with pytest.raises(ValidationError, match="Input should be 'fid', 'kid' or 'cmmd'"):
        _settings(0, 1, distance="lpips")


def test_cmmd_of_inception_features_is_refused() -> None:
    with pytest.raises(ValidationError, match="defined on CLIP features, whose length is 1"):
        _settings(0, 1, distance="cmmd", encoder="inception", weights="w")
    assert _settings(0, 1, distance="kid", encoder="inception", weights="w").placed_by == "kid"


def test_fid_is_what_is_meant_where_nothing_is_said() -> None:
    plain, stated = _settings(0, 1), _settings(0, 1, distance="fid")
    assert plain == stated
    assert plain.placed_by == "fid"
    assert "distance" not in plain.model_dump(exclude_none=True)
