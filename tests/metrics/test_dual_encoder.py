"""Dual encoders: loaded once, and known by their files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_fixtures.embedded import weights
from spqr_tests.errors import InputError
from spqr_tests.metrics.dual_encoder import DualEncoder, DualEncoders, quick_gelu
from tests.judging.judges.made import JUDGE


@pytest.mark.parametrize(
    "file", ["open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json"]
)
def test_an_encoders_fingerprint_depends_on_its_files(tmp_path: Path, file: str) -> None:
    import shutil

    folder = Path(shutil.copytree(weights.judge_folder(), tmp_path / "copy"))
    assert (
        DualEncoder(f"local-dir:{folder}", None, "cpu").fingerprint
        == DualEncoder(JUDGE, None, "cpu").fingerprint
    )
    with (folder / file).open("ab") as end:
        end.write(b" ")
    assert (
        DualEncoder(f"local-dir:{folder}", None, "cpu").fingerprint
        != DualEncoder(JUDGE, None, "cpu").fingerprint
    )


def test_an_encoder_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"The encoder local-dir:.* is not a folder with open_clip_config\.json"
    ):
        DualEncoder(f"local-dir:{tmp_path}", None, "cpu")


def test_an_encoder_without_weights_cannot_be_used() -> None:
    with pytest.raises(InputError, match="The encoder ViT-B-32 needs a pretrained tag"):
        DualEncoder("ViT-B-32", None, "cpu").embed_texts(["a ring"])


@pytest.mark.parametrize(
    ("name", "pretrained", "needed"),
    [
        ("ViT-B-32", "openai", True),
        ("ViT-L/14", "openai", True),
        ("ViT-B-32-quickgelu", "openai", False),
        ("ViT-B-32", "laion2b_s34b_b79k", False),
        (JUDGE, None, False),
    ],
)
def test_published_weights_get_the_activation_that_they_were_trained_with(
    name: str, pretrained: str | None, *, needed: bool
) -> None:
    assert quick_gelu(name, pretrained) is needed


def test_an_encoder_is_loaded_once_for_all_who_ask() -> None:
    encoders = DualEncoders("cpu", lambda _: JUDGE)
    assert encoders.get("one", None) is encoders.get("other", None)
    assert encoders.get("one", "a tag, which a folder does not have") is encoders.get("one", None)
    published = DualEncoders("cpu", str)
    assert published.get("ViT-B-32", "openai") is not published.get("ViT-B-32", "laion2b_s34b_b79k")


@pytest.mark.parametrize("what", ["encode_image", "encode_text"])
def test_a_card_embeds_in_whole_float32(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    import torch

    encoder = DualEncoder(JUDGE, None, "cpu")
    model = encoder._loaded[0]
    original, seen = getattr(model, what), []

    def watched(*given: Any, **named: Any) -> Any:
        cudnn = torch.backends.cudnn
        seen.append((cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark))
        return original(*given, **named)

    monkeypatch.setattr(model, what, watched)
    encoder.embed_images([np.zeros((8, 8, 3), np.uint8)])
    encoder.embed_texts(["a ring"])
    assert seen == [(False, True, False)]
