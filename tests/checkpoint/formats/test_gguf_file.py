"""GGUF files: a transformer whose numbers are those that diffusers unpacks."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.formats.gguf_file import GgufFile
from spqr_tests.checkpoint.formats.tensor import ModelTensor
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from spqr_tests.store import libraries
from tests.checkpoint.formats import originals_families
from tests.checkpoint.tiny_pipelines import FolderOf, Tensors
from tests.tiny import backbones

Type = gguf.GGMLQuantizationType


def _write(
    path: Path, tensors: Tensors, way: Callable[[str, Any], Type], *, alignment: int = 32
) -> Path:
    """A file as the package's own writer makes it; each tensor is packed in its own way."""
    writer = gguf.GGUFWriter(path, "flux")
    writer.add_custom_alignment(alignment)
    writer.add_array("some.words", ["one", "two"])
    writer.add_array("some.numbers", [1, 2, 3])
    for name, tensor in tensors.items():
        kind = way(name, tensor)
        packed = gguf.quants.quantize(tensor.float().numpy(), kind)
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _wide(kind: Type) -> Callable[[str, Any], Type]:
    """Matrices whose rows are whole blocks in a way, all else in 32 bits."""

    def way(name: str, tensor: Any) -> Type:
        del name
        return kind if tensor.ndim == 2 and tensor.shape[-1] % 32 == 0 else Type.F32

    return way


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16", "F32"])
def test_the_numbers_are_the_packages_own(kind: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "a.weight": torch.randn(48, 64, generator=generator),
        "b.weight": torch.randn(4, 2, 32, generator=generator),
    }
    path = _write(tmp_path / "a.gguf", tensors, lambda *_: Type[kind], alignment=64)
    file = GgufFile(path)
    reader = {one.name: one for one in gguf.GGUFReader(path).tensors}
    assert file.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        found = file.tensor(name)
        expected = gguf.quants.dequantize(reader[name].data, Type[kind]).reshape(tensor.shape)
        np.testing.assert_allclose(found.float().numpy(), expected, rtol=2e-3, atol=2e-3)
        assert (file.tensors[name].shape, tuple(found.shape)) == (tuple(tensor.shape),) * 2
        stored = {"F16": torch.float16, "F32": torch.float32, "BF16": torch.bfloat16}
        assert stored[file.tensors[name].dtype] == found.dtype
    assert set(file.kinds.values()) == ({kind} if kind.startswith("Q") else set())
    rows = ModelTensor(file, file.tensors["a.weight"], (20, 64), ((30, 40), (0, 10)))
    digest, part = rows.digest(), rows.tensor()
    assert torch.equal(part[:10], file.tensor("a.weight")[30:40])
    assert digest == rows.digest()


@pytest.mark.parametrize(("kind", "halves"), [("Q4_K", (0, 2)), ("Q6_K", (208,)), ("Q2_K", (80,))])
def test_packed_by_256_numbers(kind: str, halves: tuple[int, ...], tmp_path: Path) -> None:
    """No library packs them without a card; any bytes are a block, but for its scales."""
    elements, size = gguf.GGML_QUANT_SIZES[Type[kind]]
    blocks = np.random.default_rng(0).integers(0, 256, (6, size), dtype=np.uint8)
    for at in halves:
        blocks[:, at : at + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
    if kind == "Q2_K":
        blocks[:, 82:84] = np.frombuffer(np.float16(0.02).tobytes(), np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "flux")
    writer.add_tensor("a.weight", blocks.reshape(3, 2 * size), raw_dtype=Type[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = GgufFile(tmp_path / "a.gguf").tensor("a.weight")
    expected = gguf.quants.dequantize(blocks, Type[kind]).reshape(3, 2 * elements)
    np.testing.assert_allclose(found.float().numpy(), expected, rtol=4e-3, atol=4e-3)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLUX.2's transformer in its authors' names, in 8 bits."""
    model = backbones.make("flux-2-klein").transformer
    stored = originals_families.transformer("flux-2-klein", model)
    return _write(tmp_path_factory.mktemp("gguf") / "klein.gguf", stored, _wide(Type.Q8_0))


@pytest.fixture(scope="module")
def checkpoint(packed: Path, pipeline_folder_of: FolderOf) -> Checkpoint:
    return read("base", pipeline_folder_of("flux-2-klein"), overlays=[Given(packed)])


def _images(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt="a red heart",
        generator=torch.Generator().manual_seed(7),
        num_inference_steps=2,
        guidance_scale=4.0,
        height=backbones.SIDE,
        width=backbones.SIDE,
        output_type="np",
    ).images


def test_images_are_those_of_diffusers_own_quantiser(
    packed: Path, checkpoint: Checkpoint, pipeline_folder_of: FolderOf
) -> None:
    from diffusers import Flux2Transformer2DModel, GGUFQuantizationConfig
    from diffusers.quantizers.gguf.utils import GGUFLinear

    folder = pipeline_folder_of("flux-2-klein")
    own = backbones.make("flux-2-klein")
    full = _images(own)
    own.transformer = Flux2Transformer2DModel.from_single_file(
        str(packed),
        quantization_config=GGUFQuantizationConfig(compute_dtype=torch.float32),
        config=str(folder),
        subfolder="transformer",
        torch_dtype=torch.float32,
    )
    assert sum(isinstance(one, GGUFLinear) for one in own.transformer.modules()) > 10
    found = _images(checkpoint.pipeline("cpu", "float32"))
    np.testing.assert_allclose(found, _images(own), rtol=0, atol=1e-5)
    assert np.abs(found - full).max() > 1e-4


def test_it_is_named_and_known_by_its_numbers(
    packed: Path, checkpoint: Checkpoint, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    folder = pipeline_folder_of("flux-2-klein")
    assert checkpoint.fingerprint != read("full", folder).fingerprint
    said = " ".join(checkpoint.recognised)
    assert "in the names of a FLUX.2 checkpoint" in said
    tensors = checkpoint.parts.models["transformer"].tensors.values()
    count = sum(one.stored.name in GgufFile(packed).kinds for one in tensors)
    assert count > 10
    assert f"; it is quantised (GGUF: {count} tensors in Q8_0): the numbers are those" in said
    model = backbones.make("flux-2-klein").transformer
    stored = originals_families.transformer("flux-2-klein", model)
    other = _write(tmp_path / "other.gguf", stored, _wide(Type.Q4_0))
    assert read("o", folder, overlays=[Given(other)]).fingerprint != checkpoint.fingerprint


def test_an_adapter_is_added_to_the_numbers(
    packed: Path, checkpoint: Checkpoint, pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    layer = "single_transformer_blocks.1.attn.to_out"
    before = checkpoint.pipeline("cpu", "float32").transformer.get_submodule(layer).weight
    down, up = torch.randn(2, before.shape[1]), torch.randn(before.shape[0], 2)
    path = tmp_path / "lora.safetensors"
    stored = "diffusion_model.single_blocks.1.linear2"
    save_file({f"{stored}.lora_A.weight": down, f"{stored}.lora_B.weight": up}, path)
    both = [Given(packed), Given(path)]
    found = read("base", pipeline_folder_of("flux-2-klein"), overlays=both)
    after = found.pipeline("cpu", "float32").transformer.get_submodule(layer).weight
    torch.testing.assert_close(after, before + up @ down, rtol=2e-3, atol=2e-3)
    assert found.fingerprint != checkpoint.fingerprint


def test_alone_it_is_no_model(packed: Path) -> None:
    with pytest.raises(InputError, match=r"this file as --spqr-overlay if it holds the transform"):
        read(str(packed), packed)


def test_without_the_package_it_says_what_to_install(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "version", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'spqr-tests\[gguf\]'"):
        GgufFile(packed)


def _entry(name: bytes, shape: list[int], kind: int, offset: int) -> bytes:
    return (
        struct.pack("<Q", len(name))
        + name
        + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    )


def _file(entries: list[bytes], fields: bytes = b"", count: int = 0, version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(entries), count) + fields + b"".join(entries)
    return head + bytes(-len(head) % 32) + bytes(64)


_KEY = struct.pack("<Q", 1) + b"k"
_ONE = _entry(b"a", [8], 0, 0)
DAMAGED = {
    "cut": (b"GGUF\x03\x00\x00\x00", "cannot be read"),
    "no tensors": (_file([]), "it holds no tensors"),
    "an old version": (_file([], version=1), "its version is 1"),
    "bytes that are missing": (_file([_entry(b"a", [17], 0, 0)]), "are missing or shared"),
    "bytes that are shared": (
        _file([_entry(b"a", [8], 0, 0), _entry(b"b", [8], 0, 16)]),
        "the bytes of 'b' are missing or shared",
    ),
    "one name twice": (
        _file([_entry(b"a", [8], 0, 0), _entry(b"a", [8], 0, 32)]),
        "two tensors have one name",
    ),
    "a shape that overflows": (_file([_entry(b"a", [2**63, 2**63], 0, 0)]), "missing or shared"),
    "many dimensions": (_file([_entry(b"a", [1] * 9, 0, 0)]), "'a' has 9 dimensions"),
    "no elements": (_file([_entry(b"a", [0, 8], 0, 0)]), "'a' has no elements"),
    "half a block": (_file([_entry(b"a", [16], 8, 0)]), "are no whole blocks"),
    "an unknown type": (_file([_entry(b"a", [16], 255, 0)]), "of the unknown type 255"),
    "a type that nobody unpacks": (
        _file([_entry(b"a", [256], 29, 0)]),
        "packed as IQ1_M, which diffusers does not unpack",
    ),
    "a name of two lines": (_file([_entry(b"a\nb", [8], 0, 0)]), "no name of a tensor"),
    "a name that is no text": (_file([_entry(b"\xff", [8], 0, 0)]), "cannot be read"),
    "an array without an end": (
        _file([_ONE], _KEY + struct.pack("<IIQ", 9, 0, 2**60), 1),
        "the header is cut off",
    ),
    "arrays in an array": (_file([_ONE], _KEY + struct.pack("<IIQ", 9, 9, 2), 1), "cannot be read"),
    "words without an end": (
        _file([_ONE], _KEY + struct.pack("<IIQ", 9, 8, 2**60), 1),
        "cannot be read",
    ),
    "fields without an end": (_file([_ONE], b"", 2**60), "cannot be read"),
    "an alignment of 0": (
        _file([_ONE], struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<II", 4, 0), 1),
        "its alignment is 0",
    ),
}


@pytest.mark.parametrize(("content", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        GgufFile(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_under_another_name_it_is_not_read(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed.read_bytes())
    with pytest.raises(InputError, match="it is a GGUF file, whose weights are quantised"):
        read(str(path), path)
