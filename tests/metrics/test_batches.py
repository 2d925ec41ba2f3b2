"""The same digits whatever was there before: what is computed does not depend on its batch."""

import numpy as np
import pytest

from spqr_tests.metrics import embedding
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.store import libraries
from spqr_tests.store.store import Store


@pytest.fixture(scope="module")
def noise() -> "list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]":
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(37)]


@pytest.mark.parametrize("chunk", [1, 2, 15, 16, 17, 36])
def test_an_images_embedding_does_not_depend_on_the_others(
    encoder: DualEncoder, noise: "list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]", chunk: int
) -> None:
    whole = encoder.embed_images(noise)
    parts = [encoder.embed_images(noise[at : at + chunk]) for at in range(0, len(noise), chunk)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = np.random.default_rng(1).permutation(len(noise))
    np.testing.assert_array_equal(encoder.embed_images([noise[row] for row in order]), whole[order])


@pytest.mark.parametrize("chunk", [1, 3, 16, 20])
def test_a_texts_embedding_does_not_depend_on_the_others(encoder: DualEncoder, chunk: int) -> None:
    texts = [
        f"a {word} heart on a white background" * (number % 3 + 1)
        for number, word in enumerate(["red", "blue", "green", "pink"] * 6)
    ]
    whole = encoder.embed_texts(texts)
    parts = [encoder.embed_texts(texts[at : at + chunk]) for at in range(0, len(texts), chunk)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_another_minor_version_of_a_library_is_another_key(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"torch": "2.14.1", "torchvision": "0.29.1", "pillow": "13.0.0"}
    keys = []
    for changed in ({}, {"torch": "2.14.2+cu126"}, {"torch": "2.15.0"}, {"pillow": "13.1.0"}):
        now = versions | changed
        monkeypatch.setattr(libraries, "version", now.get)
        keys.append(embedding.key(encoder, "ab" * 32))
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_embeddings_of_a_store_that_lost_some_are_the_same(
    encoder: DualEncoder, store: Store, drawings: "list[embedding.Generation]"
) -> None:
    whole = embedding.embed(store, encoder, drawings)
    for path in sorted((store.entries / "embeddings").glob("*/*"))[::2]:
        path.unlink()
    again = embedding.embed(Store(store.folder, "later"), encoder, drawings)
    np.testing.assert_array_equal(again, whole)
