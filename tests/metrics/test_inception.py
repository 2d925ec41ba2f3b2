"""The published FID's features, on its architecture with weights that are random but fixed."""

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation.generations import Generation
from spqr_tests.metrics import embedding
from spqr_tests.metrics.distances import measured as distance_of
from spqr_tests.metrics.inception import Inception
from spqr_tests.run import protocols, sources
from spqr_tests.store.images import Pixels
from spqr_tests.store.pictures import KnownPicture
from spqr_tests.store.store import Store
from tests.tiny import inception as tiny_inception
from tests.tiny.images import generation

TINY = Path(__file__).parents[1] / "plugin" / "tiny.toml"
# Height and width: smaller and larger than the network's 299, odd, and far from square.
SIZES = [(31, 400), (257, 123), (512, 301)]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file as published, but for the numbers."""
    return tiny_inception.write(tmp_path_factory.mktemp("inception") / "inception.pth")


@pytest.fixture(scope="session")
def inception(weights: Path) -> Inception:
    return Inception(weights, "cpu")


def _photographs(seed: int) -> list[Pixels]:
    """Cuttings of a photograph, one a size."""
    from skimage import data

    rng = np.random.default_rng(seed)
    photograph = data.astronaut()
    made = []
    for height, width in SIZES:
        top, left = rng.integers(0, 512 - height + 1), rng.integers(0, 512 - width + 1)
        made.append(np.ascontiguousarray(photograph[top : top + height, left : left + width]))
    return made


@pytest.fixture(scope="session")
def real() -> list[Pixels]:
    return _photographs(0)


@pytest.fixture(scope="session")
def painted() -> list[Pixels]:
    """Brighter cuttings from elsewhere."""
    return [255 - (255 - picture) // 2 for picture in _photographs(1)]


@pytest.fixture(scope="session")
def measured(
    tmp_path_factory: pytest.TempPathFactory,
    inception: Inception,
    real: list[Pixels],
    painted: list[Pixels],
) -> tuple[Store, list[KnownPicture], list[Generation], float]:
    """FID of pictures in PNG files, as a run measures it."""
    folder = tmp_path_factory.mktemp("measured")
    reference, generations = [], []
    for number, (picture, other) in enumerate(zip(real, painted, strict=True)):
        path = folder / f"real-{number}.png"
        Image.fromarray(picture).save(path)
        reference.append(KnownPicture.at(path))
        path = folder / f"painted-{number}.png"
        generations.append(generation(path, other, Prompt("a portrait", number)))
    store = Store(folder / "store", "run")
    found = distance_of(store, inception, "fid", reference, generations)
    return store, reference, generations, found.value


@pytest.fixture(scope="session")
def features(
    measured: tuple[Store, list[KnownPicture], list[Generation], float], inception: Inception
) -> Any:
    """Of the real pictures."""
    return embedding.embed(measured[0], inception, measured[1])


def test_features_tell_pictures_apart_and_are_not_normalised(features: Any) -> None:
    assert features.shape == (len(SIZES), 2048)
    assert features.dtype == np.float32
    assert features.std(axis=0).max() > 0.05 * features.mean()
    assert np.abs(np.linalg.norm(features, axis=1) - 1).min() > 0.1


def test_features_do_not_depend_on_what_else_is_computed(
    inception: Inception, features: Any, real: list[Pixels]
) -> None:
    np.testing.assert_array_equal(inception.embed_images([real[2], real[0]]), features[[2, 0]])


def test_fid_of_files_is_the_one_of_torchmetrics_on_the_pixels(
    measured: tuple[Store, list[KnownPicture], list[Generation], float],
    weights: Path,
    real: list[Pixels],
    painted: list[Pixels],
) -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=str(weights), antialias=False)
    for pictures, is_real in ((real, True), (painted, False)):
        for picture in pictures:
            metric.update(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None], real=is_real)
    expected = float(metric.compute())
    assert expected > 1e-3
    assert measured[3] == pytest.approx(expected, rel=1e-3)


def test_features_are_kept(
    measured: tuple[Store, list[KnownPicture], list[Generation], float],
    inception: Inception,
    monkeypatch: pytest.MonkeyPatch,
    features: Any,
) -> None:
    store, reference, generations, _ = measured
    monkeypatch.setattr(Inception, "embed_images", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(embedding.embed(store, inception, reference), features)
    assert inception.discrepancy == "kid"
    found = distance_of(store, inception, "kid", reference, generations)
    assert np.isfinite([found.value, *found.pseudo]).all()


def test_fingerprint_and_description_name_the_files_content(
    inception: Inception, weights: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(weights, tmp_path / "copy.pth"))
    assert Inception(copy, "cpu").fingerprint == inception.fingerprint
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    assert f"other weights ({digest[:8]}), torch-fidelity" in inception.features
    with copy.open("ab") as file:
        file.write(b"\0")
    assert Inception(copy, "cpu").fingerprint != inception.fingerprint


def test_the_published_file_is_known_by_its_content(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Inception(weights, "cpu")
    monkeypatch.setitem(
        one.__dict__, "_digest", "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
    )
    assert "published weights (6726825d)" in one.features


# Files that cannot be used


def test_a_file_that_is_not_there_is_named_with_what_is_expected_and_where_it_comes_from(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        InputError,
        match=r"none\.pth are not there; expected .*6726825d\.pth.*https://github\.com/toshas",
    ) as found:
        Inception(tmp_path / "none.pth", "cpu")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda tensors: tensors.pop("Mixed_5b.branch1x1.conv.weight"),
            "does not hold the Inception weights.*Missing key",
        ),
        (
            lambda tensors: tensors.update(more=tensors["fc.bias"]),
            "does not hold the Inception weights.*Unexpected key.*more",
        ),
        (
            lambda tensors: tensors.update({"fc.bias": tensors["fc.bias"][:7]}),
            "does not hold .*size mismatch for fc.bias",
        ),
        (lambda tensors: tensors["fc.bias"].fill_(float("nan")), "damaged: fc.bias is not finite"),
    ],
)
def test_weights_of_another_network_are_refused(
    weights: Path,
    tmp_path: Path,
    pictures: list[Pixels],
    change: Callable[[dict[str, Any]], Any],
    sentence: str,
) -> None:
    import torch

    tensors = torch.load(weights, weights_only=True)
    change(tensors)
    path = tmp_path / "changed.pth"
    torch.save(tensors, path)
    with pytest.raises(InputError, match=sentence) as found:
        Inception(path, "cpu").embed_images(pictures[:1])
    assert "\n" not in str(found.value)


class _Malicious:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("touched"),))


def test_what_a_weights_file_says_is_not_executed(
    tmp_path: Path, pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps({"fc.bias": _Malicious()}, protocol=2))
    with pytest.raises(InputError, match=r"bad\.pth"):
        Inception(path, "cpu").embed_images(pictures[:1])
    assert not Path("touched").exists()


def test_features_that_are_not_finite_are_an_error(weights: Path, pictures: list[Pixels]) -> None:
    broken = Inception(weights, "cpu")
    next(broken._network.parameters()).fill_(float("nan"))
    with pytest.raises(EvidenceError, match="features that are not finite"):
        broken.embed_images(pictures[:1])


# Protocols


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., protocols.LoadedProtocol]:
    """The tiny protocol with other lines in place of its quality encoder."""
    settle = sources.checkpoint(PACKAGED, "embedded:base", tmp_path).settled

    def of(lines: str, more: str = "") -> protocols.LoadedProtocol:
        before, after = TINY.read_text(encoding="utf-8").split("[quality]")
        path = tmp_path / "protocol.toml"
        path.write_text(
            f"{before}[quality]" + after.replace('encoder = "embedded:judge"', lines, 1) + more,
            encoding="utf-8",
        )
        return protocols.load(PACKAGED, str(path), Store(tmp_path / "store", "run"), "cpu", settle)

    return of


def test_a_protocol_names_the_weights_beside_it(
    load: Callable[..., protocols.LoadedProtocol], tmp_path: Path, weights: Path
) -> None:
    file = tmp_path / "own.pth"
    shutil.copy(weights, file)
    loaded = load('encoder = "inception"\nweights = "own.pth"')
    assert isinstance(loaded.quality_encoder, Inception)
    before = loaded.hash
    with file.open("ab") as more:
        more.write(b"\0")
    assert load('encoder = "inception"\nweights = "own.pth"').hash != before


def test_a_protocol_names_the_weights_among_its_data(
    load: Callable[..., protocols.LoadedProtocol], weights: Path, inception: Inception
) -> None:
    data = f'\n[data.inception]\nexpects = "the file"\nsource = "elsewhere"\npath = "{weights}"\n'
    encoder = load('encoder = "inception"\nweights = "data:inception"', data).quality_encoder
    assert encoder.fingerprint == inception.fingerprint


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            'encoder = "inception"\nweights = "none.pth"',
            "none.pth are not there; expected the file weights-inception",
        ),
        ('encoder = "inception"', "encoder = 'inception' needs weights"),
        (
            'encoder = "inception"\nweights = "own.pth"\npretrained = "openai"',
            "does not accept a pretrained tag",
        ),
        (
            'encoder = "embedded:judge"\nweights = "own.pth"',
            "weights applies only to encoder = 'inception'",
        ),
    ],
)
def test_an_encoder_that_cannot_be_made_is_refused(
    load: Callable[..., protocols.LoadedProtocol], lines: str, sentence: str
) -> None:
    with pytest.raises(InputError) as found:
        load(lines)
    assert sentence in str(found.value)
