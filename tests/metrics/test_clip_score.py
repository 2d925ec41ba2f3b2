"""Adherence: CLIP scores, against a reference written by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spqr_fixtures.embedded import scene, weights
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import embedding
from spqr_tests.metrics.clip_score import clip_scores
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.store.images import Pixels
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.tiny.images import generation

JUDGE = f"local-dir:{weights.judge_folder()}"
WORDS = [
    ("heart", "red", "white"),
    ("skull", "blue", "black"),
    ("house", "green", "white"),
    ("ring", "purple", "grey"),
]


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return DualEncoder(JUDGE, None, "cpu")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Generation]:
    """Four drawings as if they had been generated, for prompts of which the last is wrong."""
    folder = tmp_path_factory.mktemp("drawings")
    made = []
    for number, (glyph, colour, background) in enumerate(WORDS):
        image = scene.render(scene.Scene(glyph, colour, background))
        text = (
            f"a {colour} {glyph} on a {background} background"
            if number < 3
            else "a green tree on a white background"
        )
        made.append(generation(folder / f"{number}.png", image, Prompt(text, number)))
    return made


def _by_hand(generations: Sequence[Generation]) -> Any:
    """Cosines of images and prompts, with open_clip alone."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(JUDGE)
    model.eval()
    tokenizer = open_clip.get_tokenizer(JUDGE)
    cosines = []
    with torch.no_grad():
        for one in generations:
            image = model.encode_image(preprocess(Image.open(one.path).convert("RGB"))[None])[
                0
            ].double()
            text = model.encode_text(tokenizer([one.prompt.text]))[0].double()
            cosines.append(float(image @ text / image.norm() / text.norm()))
    return np.array(cosines)


def test_clip_scores_are_the_cosines_of_image_and_prompt(
    store: Store, encoder: DualEncoder, drawings: list[Generation]
) -> None:
    found = clip_scores(store, encoder, drawings)
    np.testing.assert_allclose(found, _by_hand(drawings), atol=1e-6)
    assert found[:3].min() > found[3] + 0.1, "a wrong prompt scores lower"


@pytest.mark.parametrize("size", [(33, 31), (257, 123), (7, 190), (512, 512)])
def test_clip_scores_of_pictures_of_any_size_are_those_of_the_models_own_preprocessing(
    store: Store,
    encoder: DualEncoder,
    drawings: list[Generation],
    tmp_path: Path,
    size: tuple[int, int],
) -> None:
    resized = []
    for one in drawings:
        path = tmp_path / one.path.name
        pixels = np.asarray(Image.fromarray(one.pixels()).resize(size, Image.Resampling.BICUBIC))
        resized.append(generation(path, pixels, one.prompt))
    np.testing.assert_allclose(clip_scores(store, encoder, resized), _by_hand(resized), atol=1e-6)


def test_clip_scores_come_in_the_order_of_the_generations(
    store: Store, encoder: DualEncoder, drawings: list[Generation]
) -> None:
    np.testing.assert_allclose(
        clip_scores(store, encoder, drawings[::-1]),
        clip_scores(store, encoder, drawings)[::-1],
        atol=1e-6,
    )


def test_clip_scores_are_computed_once(
    store: Store, encoder: DualEncoder, drawings: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = clip_scores(store, encoder, drawings)
    monkeypatch.setattr(DualEncoder, "embed_texts", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(
        clip_scores(Store(store.folder, "next run"), encoder, drawings), found
    )


def test_an_image_is_embedded_once_whoever_asks(
    store: Store, encoder: DualEncoder, drawings: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embedding.embed(store, encoder, [*drawings, drawings[0]])
    np.testing.assert_array_equal(
        first[:-1], encoder.embed_images([one.pixels() for one in drawings])
    )
    np.testing.assert_array_equal(first[-1], first[0])
    monkeypatch.setattr(DualEncoder, "embed_images", lambda *_: pytest.fail("embedded again"))
    np.testing.assert_array_equal(embedding.embed(store, encoder, drawings[::-1]), first[-2::-1])


def test_more_images_than_a_batch_are_embedded_in_order(
    store: Store, encoder: DualEncoder, tmp_path: Path
) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8))
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    found = embedding.embed(
        store, encoder, [KnownPicture.at(path) for path in sorted(tmp_path.glob("*.png"))]
    )
    np.testing.assert_allclose(
        found, np.stack([encoder.embed_images([image])[0] for image in images]), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("what", ["an image", "a text"])
def test_an_embedding_that_is_not_finite_is_an_error(pictures: list[Pixels], what: str) -> None:
    broken = DualEncoder(JUDGE, None, "cpu")
    for parameter in broken._loaded[0].parameters():
        parameter.fill_(float("nan"))
    with pytest.raises(EvidenceError, match=f"gave {what} an embedding that is not finite"):
        broken.embed_images(pictures[:1]) if what == "an image" else broken.embed_texts(["a ring"])
