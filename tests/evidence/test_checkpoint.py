"""The checkpoint: named by its content, loaded strictly or refused with a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

from spqr_tests.evidence.checkpoint import read
from spqr_tests.evidence.errors import InputError
from tests.evidence.tiny import edit_json, edit_tensors

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
TRAINED = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"


def _fingerprint(folder: Path, overlay: Path | None = None) -> str:
    return read("some", folder, overlays=[overlay] if overlay else []).fingerprint


def _load(folder: Path, overlay: Path | None = None) -> "StableDiffusionPipeline":
    return read("some", folder, overlays=[overlay] if overlay else []).pipeline("cpu", "float32")


def _first(tensors: dict[str, Any]) -> str:
    return min(name for name in tensors if name.endswith("weight"))


# Fingerprints


def test_a_copy_under_another_name_has_the_same_fingerprint(base: Path, folder: Path) -> None:
    assert folder.name != base.name
    assert _fingerprint(folder) == _fingerprint(base)


def test_a_pipeline_that_was_used_and_saved_again_has_the_same_fingerprint(base: Path, tmp_path: Path) -> None:
    pipeline = _load(base)
    pipeline.encode_prompt("a red heart", "cpu", 1, do_classifier_free_guidance=False)
    pipeline.save_pretrained(tmp_path / "again")
    assert "_name_or_path" in (tmp_path / "again" / "unet" / "config.json").read_text(encoding="utf-8")
    assert _fingerprint(tmp_path / "again") == _fingerprint(base)


def test_the_prefix_of_older_text_encoders_does_not_matter(base: Path, folder: Path) -> None:
    def prefix(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[f"text_model.{name.removeprefix('text_model.')}"] = tensors.pop(name)

    before = set(load_file(folder / TEXT))
    edit_tensors(folder / TEXT, prefix)
    assert set(load_file(folder / TEXT)) != before
    assert _fingerprint(folder) == _fingerprint(base)
    _load(folder)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("unet/config.json", "_name_or_path"),
        ("unet/config.json", "_diffusers_version"),
        ("text_encoder/config.json", "transformers_version"),
        ("text_encoder/config.json", "dtype"),
        ("scheduler/scheduler_config.json", "_diffusers_version"),
        ("tokenizer/tokenizer.json", "padding"),
        ("tokenizer/tokenizer.json", "truncation"),
        ("tokenizer/tokenizer_config.json", "name_or_path"),
        ("model_index.json", "_name_or_path"),
    ],
)
def test_where_and_with_what_a_component_was_saved_does_not_matter(base: Path, folder: Path, file: str, key: str) -> None:
    edit_json(folder / file, lambda table: table.update({key: "another"}))
    assert _fingerprint(folder) == _fingerprint(base)


def test_weights_that_no_library_would_load_do_not_matter(base: Path, folder: Path) -> None:
    shutil.copy(folder / UNET, folder / "text_encoder" / "diffusion_pytorch_model.safetensors")
    shutil.copy(folder / VAE, folder / "unet" / "model.safetensors")
    assert _fingerprint(folder) == _fingerprint(base)


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
def test_one_element_changes_the_fingerprint(base: Path, folder: Path, file: str) -> None:
    def one_element(tensors: dict[str, Any]) -> None:
        tensors[_first(tensors)].view(-1)[-1] += 1e-3

    edit_tensors(folder / file, one_element)
    assert _fingerprint(folder) != _fingerprint(base)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("unet/config.json", "norm_eps", 1e-4),
        ("vae/config.json", "scaling_factor", 0.2),
        ("text_encoder/config.json", "hidden_act", "gelu"),
        ("scheduler/scheduler_config.json", "prediction_type", "v_prediction"),
        ("scheduler/scheduler_config.json", "steps_offset", 0),
        ("model_index.json", "scheduler", ["diffusers", "EulerDiscreteScheduler"]),
        ("tokenizer/tokenizer_config.json", "pad_token", "!!"),
        ("tokenizer/tokenizer.json", "normalizer", None),
    ],
)
def test_a_setting_changes_the_fingerprint(base: Path, folder: Path, file: str, key: str, value: object) -> None:
    edit_json(folder / file, lambda table: table.update({key: value}))
    assert _fingerprint(folder) != _fingerprint(base)


def test_a_tokenizers_vocabulary_changes_the_fingerprint(base: Path, folder: Path) -> None:
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\na b\n", encoding="utf-8")
    assert _fingerprint(folder) != _fingerprint(base)


# Refusals


def _edit_index(**entries: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "model_index.json", lambda table: table.update(entries))


def _index_without(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "model_index.json", lambda table: table.pop(name))


def _index_is(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "model_index.json").write_text(text, encoding="utf-8")  # type: ignore[func-returns-value]


_NO_PLACE = "which is not among the classes that are loaded"
UNFIT = {
    "no folder": (shutil.rmtree, r"there is no folder .*copy\. Pass a diffusers pipeline folder or embedded:NAME"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), r"it has no model_index\.json\. Pass the folder"),
    "an index that is no JSON": (_index_is("{"), r"model_index\.json is not JSON that can be read"),
    "an index nested without end": (_index_is("[" * 100_000), r"model_index\.json is not JSON that can be read"),
    "an index that is a list": (_index_is("[]"), r"model_index\.json holds no JSON object"),
    "another pipeline": (
        _edit_index(_class_name="FluxPipeline"),
        "names the pipeline 'FluxPipeline'; known is StableDiffusionPi",
    ),
    "a custom pipeline": (_edit_index(_class_name=["pipeline", "StableDiffusionPipeline"]), r"names the pipeline \['pipeline'"),
    "a process": (_edit_index(unet=["subprocess", "Popen"]), rf"names unet = \['subprocess', 'Popen'\], {_NO_PLACE}"),
    "a process under a new name": (_edit_index(extra=["subprocess", "Popen"]), rf"names extra = .*, {_NO_PLACE}"),
    "another class": (_edit_index(unet=["diffusers", "FluxTransformer2DModel"]), rf"names unet = .*, {_NO_PLACE}"),
    "another library": (_edit_index(unet=["my_unet", "UNet2DConditionModel"]), rf"names unet = .*, {_NO_PLACE}"),
    "a class that is a list": (_edit_index(vae=["diffusers", ["AutoencoderKL"]]), rf"names vae = .*, {_NO_PLACE}"),
    "a component that is null": (_edit_index(vae=[None, None]), rf"names vae = .*, {_NO_PLACE}"),
    "a component that is text": (_edit_index(vae="AutoencoderKL"), rf"names vae = .*, {_NO_PLACE}"),
    "no entry": (_index_without("vae"), "has no vae; a StableDiffusionPipeline folder needs one"),
    "no component": (lambda folder: shutil.rmtree(folder / "tokenizer"), "has no tokenizer; a StableDiffusionPipeline folder"),
    "no weights": (lambda folder: (folder / UNET).unlink(), r"unet holds no safetensors weights; expected is diffusion_pytorch"),
    "pickled weights": (
        lambda folder: (folder / UNET).rename(folder / "unet" / "diffusion_pytorch_model.bin"),
        "unet holds no safetensors weights",
    ),
    # diffusers would load the shards that the index names, and transformers the model that the adapter names.
    "shards beside the weights": (
        lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text("{}", encoding="utf-8"),
        r"unet holds diffusion_pytorch_model\.safetensors\.index\.json, .* another file than",
    ),
    "an adapter beside the weights": (
        lambda folder: (folder / "text_encoder" / "adapter_config.json").write_text("{}", encoding="utf-8"),
        r"text_encoder holds adapter_config\.json, .* another file than",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), UNFIT.values(), ids=UNFIT)
def test_a_folder_that_is_no_checkpoint_is_refused_before_anything_is_loaded(
    folder: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    read("some", folder)
    damage(folder)
    with pytest.raises(InputError, match=sentence):
        read("some", folder)


def test_nothing_that_an_index_names_is_executed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    _edit_index(unet=["trap", "Trap"])(folder)
    with pytest.raises(InputError, match="names unet"):
        _load(folder)
    assert not (tmp_path / "sprung").exists()
    __import__("trap")
    assert (tmp_path / "sprung").exists(), "the trap works"


def _drop(tensors: dict[str, Any]) -> None:
    del tensors[_first(tensors)]


def _add(tensors: dict[str, Any]) -> None:
    tensors["left.over.weight"] = tensors[_first(tensors)].clone()


def _misshape(tensors: dict[str, Any]) -> None:
    name = _first(tensors)
    tensors[name] = tensors[name].reshape(-1)[:-1].clone()


def _nan(tensors: dict[str, Any]) -> None:
    tensors[_first(tensors)].view(-1)[-1] = float("nan")


def _infinite(tensors: dict[str, Any]) -> None:
    tensors[_first(tensors)].view(-1)[0] = float("-inf")


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_drop, r"lacks 1 tensors, .*weight first; its weights must fit its config\.json"),
        (_add, r"holds what the model has no place for: 1 tensors, .*left\.over\.weight first"),
        (_misshape, "(has another shape for 1 tensors|cannot be loaded as)"),
        (_nan, "the weights of .*weight are not all finite numbers; the checkpoint is damaged"),
        (_infinite, "are not all finite numbers"),
    ],
)
def test_weights_that_do_not_fit_or_are_not_numbers_are_refused(
    folder: Path, file: str, damage: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    edit_tensors(folder / file, damage)
    with pytest.raises(InputError, match=rf"{file.split('/', maxsplit=1)[0]}.*{sentence}"):
        _load(folder)


def _lie(path: Path) -> None:
    """Make a header that claims two elements where there are bytes for one."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
@pytest.mark.parametrize("damage", [_lie, lambda path: path.write_bytes(path.read_bytes()[:-4])], ids=["lying header", "cut"])
def test_weights_that_safetensors_cannot_read_are_refused(folder: Path, file: str, damage: Callable[[Path], object]) -> None:
    damage(folder / file)
    with pytest.raises(InputError, match=file.split("/", maxsplit=1)[0]):
        _load(folder)


@pytest.mark.parametrize(
    "file", ["unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json"]
)
@pytest.mark.parametrize(("text", "sentence"), [("{", "is not JSON that can be read"), ("[]", "holds no JSON object")])
def test_a_component_with_a_broken_config_is_refused(folder: Path, file: str, text: str, sentence: str) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"{file} {sentence}"):
        read("some", folder)


def test_a_tokenizer_that_its_library_cannot_read_is_refused(folder: Path) -> None:
    edit_json(folder / "tokenizer" / "tokenizer.json", dict.clear)
    with pytest.raises(InputError, match="copy cannot be loaded: "):
        _load(folder)


def test_leftover_position_ids_are_no_reason_to_refuse(folder: Path) -> None:
    import torch

    edit_tensors(folder / TEXT, lambda tensors: tensors.update({"text_model.embeddings.position_ids": torch.arange(32)[None]}))
    _load(folder)


def test_a_safety_checker_that_the_index_names_is_left_out(folder: Path) -> None:
    _edit_index(safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])(folder)
    assert _load(folder).safety_checker is None


# Overlays


@pytest.fixture
def overlay(base: Path, tmp_path: Path) -> Path:
    """One cross-attention tensor of the denoiser, doubled, in half precision."""
    tensor = load_file(base / UNET)[TRAINED]
    save_file({TRAINED: (tensor * 2).half()}, tmp_path / "overlay.safetensors")
    return tmp_path / "overlay.safetensors"


def test_an_overlay_changes_exactly_its_tensors(base: Path, overlay: Path) -> None:
    import torch

    plain, changed = (_load(base, one).unet.state_dict() for one in (None, overlay))
    assert {name for name in plain if not torch.equal(plain[name], changed[name])} == {TRAINED}
    torch.testing.assert_close(changed[TRAINED], (plain[TRAINED] * 2).half().float(), rtol=0, atol=0)


def test_an_overlay_changes_the_fingerprint_and_its_file_name_does_not(base: Path, overlay: Path) -> None:
    named = _fingerprint(base, overlay)
    assert named != _fingerprint(base)
    assert _fingerprint(base, overlay.rename(overlay.with_name("other.safetensors"))) == named


def test_an_overlay_counts_as_the_same_weights_in_the_folder(base: Path, folder: Path, tmp_path: Path) -> None:
    tensors = load_file(base / UNET)
    save_file({TRAINED: tensors[TRAINED] * 2}, tmp_path / "overlay.safetensors")
    edit_tensors(folder / UNET, lambda tensors: tensors.update({TRAINED: tensors[TRAINED] * 2}))
    assert _fingerprint(base, tmp_path / "overlay.safetensors") == _fingerprint(folder)


def _renamed(tensors: dict[str, Any]) -> None:
    tensors["somewhere.else"] = tensors.pop(TRAINED)


UNFIT_OVERLAYS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "matches nothing": (_renamed, r"it holds 1 tensors that the base lacks, 'somewhere\.else' first"),
    "has keys over": (
        lambda tensors: tensors.update({"more": tensors[TRAINED].clone()}),
        "it holds 1 tensors that .* 'more' first",
    ),
    "is empty": (dict.clear, "it holds no tensor at all"),
    "has another shape": (lambda tensors: tensors.update({TRAINED: tensors[TRAINED][:1].clone()}), rf"{TRAINED}"),
    "is not a number": (lambda tensors: tensors[TRAINED].fill_(float("nan")), "the weights of .* are not all finite numbers"),
}


@pytest.mark.parametrize(("damage", "sentence"), UNFIT_OVERLAYS.values(), ids=UNFIT_OVERLAYS)
def test_an_overlay_that_does_not_fit_is_refused(
    base: Path, overlay: Path, damage: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    edit_tensors(overlay, damage)
    with pytest.raises(InputError, match=rf"overlay\.safetensors.*{sentence}"):
        _load(base, overlay)


@pytest.mark.parametrize("damage", [_lie, lambda path: path.write_bytes(b"garbage"), Path.unlink], ids=["lie", "garbage", "gone"])
def test_an_overlay_that_cannot_be_read_is_refused(base: Path, overlay: Path, damage: Callable[[Path], object]) -> None:
    damage(overlay)
    with pytest.raises(InputError, match=r"overlay\.safetensors"):
        _load(base, overlay)
