"""The names and shapes of published adapters, on bases of the published sizes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from spqr_tests.checkpoint.formats import overlay
from spqr_tests.checkpoint.formats.tensor import ModelTensor, StoredTensor
from spqr_tests.checkpoint.lora.file import read as read_lora
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.lora.published_lists import RECOGNISED, REFUSED, Shapes
from tests.checkpoint.tiny_pipelines import PartsOf, state

DOCUMENT = Path(__file__).parents[3] / "docs" / "checkpoints.md"


@dataclass(frozen=True)
class Listed:
    """A file of which only names and shapes are known; all its numbers are 1, and then others."""

    shapes: Mapping[str, tuple[int, ...]]
    path: Path = Path("published.safetensors")

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        return {name: StoredTensor(name, "F32", shape) for name, shape in self.shapes.items()}

    def blocks(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        del name, begin
        yield b"\0\0\x80?" + (b"\0\0\0@" if end > 4 else b"")

    def tensor(self, name: str) -> torch.Tensor:
        raise NotImplementedError(name)


def listed(shapes: Shapes) -> Any:
    return Listed(shapes)


@pytest.fixture(scope="module")
def flux(parts_of: PartsOf) -> Parts:
    """FLUX.1 dev in its published sizes."""
    with torch.device("meta"):
        models = {
            "transformer": FluxTransformer2DModel(guidance_embeds=True),
            "text_encoder": CLIPTextModel(
                CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)
            ),
            "text_encoder_2": T5EncoderModel(
                T5Config(
                    d_model=4096,
                    d_kv=64,
                    d_ff=10240,
                    num_layers=24,
                    num_heads=64,
                    feed_forward_proj="gated-gelu",
                    is_encoder_decoder=False,
                )
            ),
        }
    parts, changed = parts_of("flux"), {}
    for name, model in models.items():
        shapes = {key: tuple(tensor.shape) for key, tensor in state(model).items()}
        file = Listed(shapes)
        changed[name] = replace(
            parts.models[name],
            config=dict(model.config) if name == "transformer" else model.config.to_dict(),
            tensors={
                key: ModelTensor(file, file.tensors[key], shape) for key, shape in shapes.items()
            },
        )
    return replace(parts, models={**parts.models, **changed})


@pytest.mark.parametrize("name", RECOGNISED)
def test_what_is_recognised(flux: Parts, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shapes, said = RECOGNISED[name]
    monkeypatch.setattr(overlay, "open_file", lambda path, **_: Listed(shapes, path))
    _, recognised = overlay.apply(flux, Path(__file__), allow_pickle=False)
    assert recognised.sentence == f"{Path(__file__).name}: {said}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(flux: Parts, parts_of: PartsOf, name: str) -> None:
    shapes, said = REFUSED[name]
    for base in (flux, parts_of("sdxl"), parts_of("sd3")):
        with pytest.raises(InputError) as refused:
            read_lora(listed(shapes), base)
        assert said in str(refused.value)


def test_the_documents_rows_are_these() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split("### Published adapters")[1]
    lines = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("| ")]
    rows = {cells[1].strip(): cells[3].strip() for cells in (line.split("|") for line in lines[1:])}
    assert rows.keys() == {*RECOGNISED, *REFUSED}
    for name, words in rows.items():
        assert words in ({**RECOGNISED, **REFUSED}[name][1])
