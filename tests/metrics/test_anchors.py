"""Anchors: the protocol's numbers, or measured on the reference set."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spqr_fixtures.embedded import datasets
from spqr_tests.errors import EvidenceError
from spqr_tests.metrics import anchors
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.metrics.fid import frechet_distance
from spqr_tests.settings.prompts import QualitySettings
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.metrics.features import _read


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
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> list[KnownPicture]:
    """Forty pictures of the embedded world."""
    folder = datasets.write_reference(tmp_path_factory.mktemp("glyphs"), 40, seed=3)
    return [KnownPicture.at(path) for path in sorted(folder.glob("*.png"))]


def test_anchors_are_the_protocols_numbers(
    store: Store, encoder: DualEncoder, glyphs: list[KnownPicture]
) -> None:
    assert anchors.measure(store, encoder, glyphs, 10, _settings(1, 2.5)) == (1.0, 2.5)


def test_measured_anchors_are_real_pictures_and_blurred_ones(
    store: Store, encoder: DualEncoder, glyphs: list[KnownPicture]
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
        (-1, 1, "expected an FID from 0 to 1,000,000,000"),
    ],
)
def test_anchors_that_mean_nothing_are_refused(best: object, worst: object, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _settings(best, worst)
