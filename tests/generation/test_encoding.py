"""Encoding: a benign set is encoded once for all that trains on it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.data.pictures import BenignSet
from spqr_tests.generation import encoding
from spqr_tests.generation.examples import Examples, encode
from spqr_tests.store.store import LAYOUT, Store
from tests.tiny import settings


class Encoder:
    """Encodes by the tiny pipeline, and counts how often it is asked for it."""

    def __init__(self, store: Store, pipeline: Any, backbone: Backbone, benign: BenignSet) -> None:
        self._parts = pipeline, backbone
        self._store, self._benign = store, benign
        self.asked = 0

    def _pipeline(self) -> tuple[Any, Backbone]:
        self.asked += 1
        return self._parts

    def encoded(self, fingerprint: str = "f", caption: str | None = None) -> Examples:
        """The set's examples."""
        return encoding.encoded(
            self._store, fingerprint, "cpu", settings(), self._benign, 4, caption, self._pipeline
        )


@pytest.fixture
def encoder(store: Store, pipeline: Any, backbone: Backbone, benign_set: BenignSet) -> Encoder:
    return Encoder(store, pipeline, backbone, benign_set)


def same(one: Examples, other: Examples) -> bool:
    """To the last bit."""
    return (
        torch.equal(one.mean, other.mean)
        and torch.equal(one.std, other.std)
        and torch.equal(one.captions, other.captions)
        and one.texts == other.texts
        and one.text.keys() == other.text.keys()
        and all(torch.equal(one.text[name], other.text[name]) for name in one.text)
    )


def test_what_is_stored_is_what_was_encoded(
    encoder: Encoder, pipeline: Any, backbone: Backbone, benign_set: BenignSet
) -> None:
    numbers = settings().numbers
    size = numbers.height, numbers.width
    plain = encode(pipeline, backbone, benign_set, size, 4, with_empty=True)
    first, again = encoder.encoded(), encoder.encoded()
    assert encoder.asked == 1
    assert same(first, plain)
    assert same(again, plain)
    assert again.mean.requires_grad is False


@pytest.mark.parametrize("other", [{"fingerprint": "g"}, {"caption": "a photo of sks"}])
def test_another_model_or_caption_is_encoded_anew(encoder: Encoder, other: dict[str, str]) -> None:
    encoder.encoded()
    encoder.encoded(**other)
    assert encoder.asked == 2


def test_what_is_damaged_is_encoded_again(encoder: Encoder, store: Store) -> None:
    first = encoder.encoded()
    (path,) = (store.folder / LAYOUT / encoding.KIND).rglob("*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert same(encoder.encoded(), first)
    assert (encoder.asked, store.damaged) == (2, 1)


def test_what_is_too_large_is_not_stored(
    encoder: Encoder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "LARGEST", 10)
    assert same(encoder.encoded(), encoder.encoded())
    assert encoder.asked == 2
    assert not Path(store.folder / LAYOUT / encoding.KIND).exists()
