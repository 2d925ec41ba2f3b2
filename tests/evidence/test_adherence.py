"""Adherence and quality: CLIP scores and FID, against references written by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import linalg

from spqr_fixtures.embedded import scene, weights
from spqr_tests.evidence import embedding
from spqr_tests.evidence.adherence import clip_scores
from spqr_tests.evidence.dual_encoder import DualEncoder
from spqr_tests.evidence.errors import EvidenceError
from spqr_tests.evidence.generations import Generation
from spqr_tests.evidence.images import Pixels, from_png, to_png
from spqr_tests.evidence.prompts import Prompt
from spqr_tests.evidence.quality import fid, frechet_distance
from spqr_tests.evidence.store import Store

JUDGE = f"local-dir:{weights.judge_folder()}"
WORDS = [("heart", "red", "white"), ("skull", "blue", "black"), ("house", "green", "white"), ("ring", "purple", "grey")]


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return DualEncoder(JUDGE, None, "cpu")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Generation]:
    """Four drawings as if they had been generated, for prompts of which the last is wrong."""
    folder = tmp_path_factory.mktemp("drawings")
    made = []
    for number, (glyph, colour, background) in enumerate(WORDS):
        path = folder / f"{number}.png"
        path.write_bytes(to_png(scene.render(scene.Scene(glyph, colour, background)), {}))
        text = f"a {colour} {glyph} on a {background} background" if number < 3 else "a green tree on a white background"
        made.append(Generation(Prompt(text, number), path, from_png(path.read_bytes(), path)[1]))
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
            image = model.encode_image(preprocess(Image.open(one.path).convert("RGB"))[None])[0].double()
            text = model.encode_text(tokenizer([one.prompt.text]))[0].double()
            cosines.append(float(image @ text / image.norm() / text.norm()))
    return np.array(cosines)


def test_clip_scores_are_the_cosines_of_image_and_prompt(store: Store, encoder: DualEncoder, drawings: list[Generation]) -> None:
    found = clip_scores(store, encoder, drawings)
    np.testing.assert_allclose(found, _by_hand(drawings), atol=1e-6)
    assert found[:3].min() > found[3] + 0.1, "a wrong prompt scores lower"


def test_clip_scores_come_in_the_order_of_the_generations(store: Store, encoder: DualEncoder, drawings: list[Generation]) -> None:
    np.testing.assert_allclose(
        clip_scores(store, encoder, drawings[::-1]), clip_scores(store, encoder, drawings)[::-1], atol=1e-6
    )


def test_clip_scores_are_computed_once(
    store: Store, encoder: DualEncoder, drawings: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = clip_scores(store, encoder, drawings)
    monkeypatch.setattr(DualEncoder, "embed_texts", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(clip_scores(Store(store.folder, "next run"), encoder, drawings), found)


def test_an_image_is_embedded_once_whoever_asks(
    store: Store, encoder: DualEncoder, drawings: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embedding.of_generations(store, encoder, [*drawings, drawings[0]])
    np.testing.assert_array_equal(first[:-1], encoder.embed_images([one.pixels() for one in drawings]))
    np.testing.assert_array_equal(first[-1], first[0])
    monkeypatch.setattr(DualEncoder, "embed_images", lambda *_: pytest.fail("embedded again"))
    np.testing.assert_array_equal(embedding.of_generations(store, encoder, drawings[::-1]), first[-2::-1])


def test_more_images_than_a_batch_are_embedded_in_order(store: Store, encoder: DualEncoder, tmp_path: Path) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8))
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    found = embedding.of_pictures(store, encoder, sorted(tmp_path.glob("*.png")))
    np.testing.assert_allclose(found, np.stack([encoder.embed_images([image])[0] for image in images]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("what", ["an image", "a text"])
def test_an_embedding_that_is_not_finite_is_an_error(pictures: list[Pixels], what: str) -> None:
    broken = DualEncoder(JUDGE, None, "cpu")
    for parameter in broken._loaded[0].parameters():
        parameter.fill_(float("nan"))
    with pytest.raises(EvidenceError, match=f"gave {what} an embedding that is not finite"):
        broken.embed_images(pictures[:1]) if what == "an image" else broken.embed_texts(["a ring"])


# Quality


def _features(seed: int, n: int = 60, width: int = 12) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, width)) @ rng.standard_normal((width, width)) / 5 + rng.standard_normal(width)).astype(
        np.float32
    )


def _reference(one: Any, other: Any) -> float:
    """The Frechet distance of two Gaussians, as Heusel et al. write it."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(first @ second)
    return float(((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root.real))


@pytest.mark.parametrize(("seed", "n"), [(1, 60), (2, 60), (3, 13), (4, 400)])
def test_fid_is_the_frechet_distance_of_two_gaussians(seed: int, n: int) -> None:
    one, other = _features(0), _features(seed, n)
    assert frechet_distance(one, other) == pytest.approx(_reference(one, other), rel=1e-6)


def test_fid_of_a_set_with_itself_is_zero() -> None:
    assert frechet_distance(_features(0), _features(0)) == pytest.approx(0, abs=1e-6)


def test_fid_is_symmetric() -> None:
    assert frechet_distance(_features(0), _features(1)) == pytest.approx(frechet_distance(_features(1), _features(0)), rel=1e-9)


def test_fid_grows_with_the_distance_of_the_means() -> None:
    near, far = (frechet_distance(_features(0), _features(0) + shift) for shift in (np.float32(0.1), np.float32(1)))
    assert near == pytest.approx(12 * 0.1**2, rel=1e-4)
    assert far == pytest.approx(12, rel=1e-4)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pictures in files."""
    folder = tmp_path_factory.mktemp("reference")
    rng = np.random.default_rng(3)
    for number in range(12):
        picture = scene.render(scene.sample(rng, ("heart", "ring", "tree"), scene.STYLES))
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    return sorted(folder.glob("*.png"))


def test_fid_of_generations_is_that_of_their_embeddings(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    value, _ = fid(store, encoder, reference, drawings, 3)
    real = encoder.embed_images([np.asarray(Image.open(path).convert("RGB")) for path in reference])
    fake = encoder.embed_images([one.pixels() for one in drawings])
    assert value == pytest.approx(frechet_distance(real, fake), rel=1e-9)


def test_bootstrap_draws_are_as_many_as_asked_and_reproducible(
    tmp_path: Path, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    (value, draws), (again, drawn) = (fid(Store(tmp_path / name, "run"), encoder, reference, drawings, 9) for name in "ab")
    assert draws.shape == (9,)
    assert len(set(draws)) > 1
    assert np.isfinite(draws).all()
    assert value == again
    np.testing.assert_array_equal(draws, drawn)


def test_each_bootstrap_draw_is_the_fid_of_a_resample(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    import itertools

    real = encoder.embed_images([np.asarray(Image.open(path).convert("RGB")) for path in reference])
    fake = encoder.embed_images([one.pixels() for one in drawings[:2]])
    possible = [frechet_distance(real, fake[list(rows)]) for rows in itertools.product(range(2), repeat=2)]
    _, draws = fid(store, encoder, reference, drawings[:2], 20)
    assert all(np.isclose(draw, possible, rtol=1e-6).any() for draw in draws)
    assert len({round(draw, 6) for draw in draws}) == 3


def test_fid_is_computed_once(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    value, draws = fid(store, encoder, reference, drawings, 3)
    monkeypatch.setattr(embedding, "of_generations", lambda *_: pytest.fail("computed again"))
    again, drawn = fid(Store(store.folder, "next run"), encoder, reference, drawings, 3)
    assert again == value
    np.testing.assert_array_equal(drawn, draws)


def test_one_generation_has_no_fid_and_that_is_an_error(
    store: Store, encoder: DualEncoder, reference: list[Path], drawings: list[Generation]
) -> None:
    with pytest.raises(EvidenceError, match="FID needs at least two"):
        fid(store, encoder, reference, drawings[:1], 3)
