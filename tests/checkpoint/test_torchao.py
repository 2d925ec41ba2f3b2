"""A base that torchao quantised and diffusers saved: read, named and computed as it is deployed."""

import json
import shutil
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from spqr_tests.checkpoint import packed
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.errors import InputError
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.store import libraries
from spqr_tests.store.kernels import Kernels
from tests.tiny import backbones, edit_json, protocol, quantised
from tests.tiny.backbones import SIDE

Header = dict[str, Any]


class Base(NamedTuple):
    """One of a UNet and one of a transformer."""

    pipeline: Any
    folder: Path
    checkpoint: Checkpoint

    @property
    def denoiser(self) -> str:
        return self.checkpoint.backbone.denoiser


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Base]:
    @cache
    def get(name: str) -> Base:
        pipeline, folder = quantised.build(name, tmp_path_factory.mktemp("quantised"))
        return Base(pipeline, folder, read(folder.name, folder))

    return get


@pytest.fixture(params=["sd1", "flux"])
def base(request: pytest.FixtureRequest, bases: Callable[[str], Base]) -> Base:
    return bases(request.param)


@pytest.fixture
def unet(bases: Callable[[str], Base]) -> Base:
    return bases("sd1")


@pytest.fixture
def copied(unet: Base, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unet.folder, tmp_path / "copy"))


def _images(pipeline: Any) -> Any:
    import torch

    return pipeline(
        "a red heart",
        generator=torch.Generator().manual_seed(7),
        num_inference_steps=2,
        height=SIDE,
        width=SIDE,
        output_type="np",
    ).images


def _weights(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def _edit_header(path: Path, edit: Callable[[Header], None]) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_images_are_those_of_diffusers_own_pipeline(base: Base) -> None:
    import torch

    own = type(base.pipeline).from_pretrained(base.folder, dtype=torch.float32)
    own.set_progress_bar_config(disable=True)
    loaded = base.checkpoint.pipeline("cpu", "float32")
    mine, its = (
        {
            name
            for name, one in getattr(pipeline, base.denoiser).named_parameters()
            if packed.is_one(one)
        }
        for pipeline in (loaded, own)
    )
    assert mine == its
    assert len(mine) > 10
    np.testing.assert_allclose(_images(loaded), _images(own), rtol=0, atol=1e-5)


def test_it_differs_from_the_full_base_by_rounding_alone(base: Base) -> None:
    """Each weight by half a step of its row's 8 bits, and images by what those weights do."""
    import copy

    import torch

    loaded = base.checkpoint.pipeline("cpu", "float32")
    full = getattr(base.pipeline, base.denoiser)
    rounded = copy.deepcopy(full)
    packed_ones = 0
    for name, one in getattr(loaded, base.denoiser).named_parameters():
        weight = full.get_parameter(name)
        if not packed.is_one(one):
            assert torch.equal(one, weight)
            continue
        unpacked = one.dequantize()
        # A row's largest weight takes 127 steps or more: [-127, 127] are symmetric in 8 bits.
        step = weight.abs().amax(dim=1, keepdim=True) / 127
        assert ((unpacked - weight).abs() <= step / 2 * (1 + 1e-4)).all()
        assert not torch.equal(unpacked, weight)
        rounded.get_parameter(name).data.copy_(unpacked)
        packed_ones += 1
    assert packed_ones > 10
    plain = copy.copy(base.pipeline)
    setattr(plain, base.denoiser, rounded)
    images = _images(loaded)
    np.testing.assert_allclose(images, _images(plain), rtol=0, atol=1e-4)
    assert (images != _images(base.pipeline)).any()


def test_kernels_of_float32_leave_packed_weights_alone() -> None:
    """Of a size that they would take, were the weight what it says."""
    import torch
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layer = torch.nn.Sequential(torch.nn.Linear(64, 64)).requires_grad_(requires_grad=False)
    quantize_(layer, Int8WeightOnlyConfig())
    rows = torch.randn(16, 64, 64)
    expected = layer(rows)
    with Kernels():
        assert torch.equal(layer(rows), expected)


def test_it_has_a_name_and_a_fingerprint_of_its_own(base: Base, tmp_path: Path) -> None:
    base.pipeline.save_pretrained(tmp_path / "full")
    full = read("full", tmp_path / "full")
    assert base.checkpoint.fingerprint != full.fingerprint
    assert [one.parameters for one in base.checkpoint.parts.models.values()] == [
        one.parameters for one in full.parts.models.values()
    ]
    said = " ".join(base.checkpoint.recognised)
    assert f"its {base.denoiser} is quantised (torchao, int8 weights): " in said
    assert "quantised" not in " ".join(full.recognised)


def test_it_is_the_same_model_in_shards(unet: Base, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    shutil.copytree(unet.folder, tmp_path / "shards")
    whole = _weights(tmp_path / "shards" / unet.denoiser)
    tensors = load_file(whole)
    with safe_open(whole, framework="pt") as file:
        metadata = file.metadata()
    whole.unlink()
    places = {}
    for rest in (0, 1):  # which puts the parts of a packed weight into different files
        held = {name: tensors[name] for name in sorted(tensors)[rest::2]}
        save_file(held, whole.with_name(f"{whole.stem}-{rest}.safetensors"), metadata)
        places |= dict.fromkeys(held, f"{whole.stem}-{rest}.safetensors")
    index = whole.with_name(f"{whole.name}.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    sharded = read("shards", tmp_path / "shards")
    assert sharded.fingerprint == unet.checkpoint.fingerprint
    images = [_images(one.pipeline("cpu", "float32")) for one in (sharded, unet.checkpoint)]
    np.testing.assert_array_equal(*images)


def test_evidence_of_another_release_of_torchao_is_not_mixed_in(
    unet: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbones.make("sd1").save_pretrained(tmp_path / "plain")
    before, plain = unet.checkpoint.fingerprint, read("plain", tmp_path / "plain").fingerprint
    installed = libraries.version
    monkeypatch.setattr(
        libraries, "version", lambda name: "0.99.1" if name == "torchao" else installed(name)
    )
    assert read("again", unet.folder).fingerprint != before
    assert read("plain", tmp_path / "plain").fingerprint == plain
    # Reports name it; keys of what has no packed weights do not.
    assert libraries.versions()["torchao"] == "0.99.1"
    for names in (libraries.SAMPLING, libraries.TRAINING):
        assert "torchao" not in libraries.minor(names)


def test_the_fingerprint_covers_what_the_file_says_of_its_tensors(unet: Base, copied: Path) -> None:
    assert read("copy", copied).fingerprint == unet.checkpoint.fingerprint

    def other(header: Header) -> None:
        table = header["__metadata__"]
        name = next(one for one in table if "Int8Tensor" in table[one])
        table[name] = table[name].replace("float32", "bfloat16")

    _edit_header(_weights(copied / unet.denoiser), other)
    assert read("copy", copied).fingerprint != unet.checkpoint.fingerprint


def test_memory_is_that_of_the_packed_weights(unet: Base) -> None:
    parts = unet.checkpoint.parts
    sampler = unet.checkpoint.settled(protocol(profiles=_profiles("lora"))).sampler
    with_packed = Memory(parts, sampler, Flops(parts, sampler)).weights
    full = 4 * sum(one.parameters for one in parts.models.values())
    int8 = parts.models[unet.denoiser].quantisation.packed  # type: ignore[union-attr]
    saved = sum(3 * np.prod(shape) for shape in int8.values())
    assert full - saved < with_packed < full - saved / 2


@pytest.mark.parametrize("trains", ["cross-attention", "denoiser"])
def test_profiles_that_train_packed_weights_are_refused(unet: Base, trains: Any) -> None:
    with pytest.raises(InputError, match=r"profiles.standard trains .* quantised .*QLoRA"):
        unet.checkpoint.settled(protocol(profiles=_profiles(trains)))
    settled = unet.checkpoint.settled(protocol(profiles=_profiles("lora")))
    assert settled.profiles["standard"].trains == "lora"


def _profiles(trains: Any) -> dict[str, ProfileSettings]:
    return {"standard": ProfileSettings(trains=trains, steps=1)}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_overlays_are_not_merged_into_packed_weights(unet: Base, copied: Path, what: str) -> None:
    folder = copied / unet.denoiser
    with pytest.raises(InputError, match=r"quantised .*a model that nobody deploys"):
        read("q", unet.folder, overlays=[_weights(folder) if what == "file" else folder])


def test_a_packed_component_is_no_overlay(unet: Base, tmp_path: Path) -> None:
    unet.pipeline.save_pretrained(tmp_path / "full")
    with pytest.raises(InputError, match=r"is quantised .* passed as --model"):
        read("full", tmp_path / "full", overlays=[unet.folder / unet.denoiser])


def _scale_of(header: Header) -> str:
    return next(name for name in header if name.endswith("_weight_scale"))


def _no_metadata(header: Header) -> None:
    del header["__metadata__"]


def _other_kind(header: Header) -> None:
    table = header["__metadata__"]
    for name in table:
        table[name] = table[name].replace("Int8Tensor", "Float8Tensor")


def _activations(header: Header) -> None:
    table = header["__metadata__"]
    for name in table:
        table[name] = table[name].replace('"act_quant_kwargs": null', '"act_quant_kwargs": {}')


def _lost_part(header: Header) -> None:
    header["elsewhere"] = header.pop(_scale_of(header))


def _other_blocks(header: Header) -> None:
    table = header["__metadata__"]
    for name in table:
        table[name] = table[name].replace('"block_size": [1, ', '"block_size": [0, ')


@pytest.mark.parametrize(
    "damage", [_no_metadata, _other_kind, _activations, _lost_part, _other_blocks]
)
def test_a_file_that_contradicts_itself_is_refused(
    unet: Base, copied: Path, damage: Callable[[Header], None]
) -> None:
    _edit_header(_weights(copied / unet.denoiser), damage)
    with pytest.raises(InputError, match="does not hold what its config calls weights quantised"):
        read("copy", copied)


def test_weights_of_another_model_are_refused(unet: Base, copied: Path) -> None:
    def narrower(header: Header) -> None:
        names = json.loads(header["__metadata__"]["tensor_names"])
        plain = next(one for one in names if one in header)
        names.remove(plain)
        header["__metadata__"]["tensor_names"] = json.dumps([*names, "more.weight"])
        header["__metadata__"]["more.weight"] = '{"_type": "Tensor"}'
        header["more.weight"] = header.pop(plain)

    _edit_header(_weights(copied / unet.denoiser), narrower)
    with pytest.raises(InputError, match="lacks 1 tensors of its"):
        read("copy", copied)


def test_scales_that_are_not_finite_are_refused(unet: Base, copied: Path) -> None:
    path = _weights(copied / unet.denoiser)
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    begin = 8 + length + header[_scale_of(header)]["data_offsets"][0]
    data = bytearray(path.read_bytes())
    data[begin : begin + 4] = struct.pack("<f", float("nan"))
    path.write_bytes(data)
    with pytest.raises(InputError, match="are not all finite numbers"):
        read("copy", copied).pipeline("cpu", "float32")


def test_another_of_torchaos_ways_is_refused(unet: Base, copied: Path) -> None:
    def other(table: dict[str, Any]) -> None:
        kind = table["quantization_config"]["quant_type"]["default"]
        kind["_type"] = "Int8DynamicActivationInt8WeightConfig"

    edit_json(copied / unet.denoiser / "config.json", other)
    with pytest.raises(InputError, match="Int8WeightOnlyConfig is read"):
        read("copy", copied)
