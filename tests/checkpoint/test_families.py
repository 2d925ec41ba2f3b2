"""Families that are read from folders: recognised, loaded, fingerprinted and planned."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from spqr_tests.checkpoint import text_reader
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.errors import InputError
from spqr_tests.generation.finetuning import trainable
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.store.store import Store
from tests.checkpoint.tiny_pipelines import FolderOf, state
from tests.tiny import backbones, edit_json
from tests.tiny.backbones import FAMILIES, SIDE
from tests.tiny.families.family import TinyFamily

NAMES = pytest.mark.parametrize("name", FAMILIES)
DEFAULTS = [(name, model) for name, family in FAMILIES.items() for model in family.defaults]


def _backbone(family: TinyFamily) -> Backbone:
    (found,) = (one for one in BACKBONES if family.index["_class_name"] in one.pipelines)
    return found


def _read(pipeline_folder_of: FolderOf, name: str) -> Checkpoint:
    return read(name, pipeline_folder_of(name))


@NAMES
def test_a_loaded_pipeline_is_the_saved_one(pipeline_folder_of: FolderOf, name: str) -> None:
    import torch

    original, loaded = backbones.make(name), _read(pipeline_folder_of, name)
    pipeline = loaded.pipeline("cpu", "float32")
    assert type(pipeline) is type(original)
    for component in loaded.parts.models:
        theirs, ours = (state(getattr(one, component)) for one in (original, pipeline))
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
    for tokenizer in loaded.parts.tokenizers:
        # The tiny T5 knows letters alone.
        t5 = "T5" in type(getattr(pipeline, tokenizer)).__name__
        text = "a red heart" if t5 else "a red heart,  wörld\n\n<|im_end|> 123 don't"
        one, other = (getattr(made, tokenizer) for made in (original, pipeline))
        one, other = (getattr(made, "tokenizer", made) for made in (one, other))
        assert other(text).input_ids == one(text).input_ids
        assert getattr(other, "chat_template", None) == getattr(one, "chat_template", None)
    assert loaded.pipeline("cpu", "bfloat16").transformer.dtype == torch.bfloat16
    assert len(loaded.fingerprint) == 64


@NAMES
def test_the_fingerprint_is_the_contents(
    pipeline_folder_of: FolderOf, name: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of(name), tmp_path / "copy"))
    expected = _read(pipeline_folder_of, name).fingerprint
    older = FAMILIES[name].older
    if older is not None:
        older(folder)
    (folder / "model_index.json").write_text(json.dumps(FAMILIES[name].index), encoding="utf-8")
    checkpoint = read("some", folder)
    assert checkpoint.fingerprint == expected
    path = checkpoint.parts.models["text_encoder"].source
    tensors = load_file(path)
    first = min(key for key in tensors if "layers.0" in key or "block.0" in key)
    tensors[first] = tensors[first] + 1e-3
    save_file(tensors, path)
    assert read("some", folder).fingerprint != expected


@pytest.mark.parametrize(("name", "model"), DEFAULTS)
def test_the_published_models_are_recognised(name: str, model: str) -> None:
    family = FAMILIES[name]
    backbone = _backbone(family)
    changed, expected = family.defaults[model]
    configs: dict[str, dict[str, Any]] = {
        part: {**family.published.get(part, {}), **changed.get(part, {})}
        for part in {*family.published, *changed}
    }
    assert backbone.published(configs) == expected
    assert backbone.resolution(configs) == family.side
    sampler = SamplerSettings(steps=2, height=family.side, width=family.side)
    backbone.check(sampler, configs)
    with pytest.raises(InputError, match=r"^sampler\.height is "):
        backbone.check(sampler.model_copy(update={"height": family.side + 1}), configs)
    with pytest.raises(InputError, match=r"^finetuning\.min_snr_gamma weighs the loss of diff"):
        backbone.check_optimizer(OptimizerSettings(min_snr_gamma=5))


@NAMES
def test_components_of_two_models_are_refused(
    pipeline_folder_of: FolderOf, name: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pipeline_folder_of(name), tmp_path / "copy"))
    edit_json(
        folder / "transformer" / "config.json",
        lambda table: table.update(in_channels=table["in_channels"] * 3),
    )
    with pytest.raises(InputError, match=r"do not belong to one model: the transformer's in_chan"):
        read("some", folder)


@NAMES
def test_prompts_that_are_read_whole_are_told_from_those_that_are_not(
    pipeline_folder_of: FolderOf, name: str, tmp_path: Path
) -> None:
    """What the pipeline's encoder is given of a prompt ends where the limit says."""
    import torch

    family, checkpoint = FAMILIES[name], _read(pipeline_folder_of, name)
    pipeline = checkpoint.pipeline("cpu", "float32")
    encoder = family.tokenizer.replace("tokenizer", "text_encoder")
    (reader,) = (one for one in text_reader.of(checkpoint.parts) if one.name == encoder)
    texts = [_words(count) for count in range(560)]
    counts = reader.tokens(texts, Store(tmp_path / "store", "run"))
    whole = max(number for number, count in enumerate(counts) if count <= reader.limit)
    assert reader.limit == family.limit
    assert whole > reader.limit / 6
    asked = [texts[whole - 1], texts[whole], texts[whole + 1], texts[whole + 1] + " moon"]
    with torch.inference_mode():
        less, last, cut, more = (checkpoint.backbone.embed(pipeline, [text]) for text in asked)
    assert _differ(less, last), "the last word counts"
    assert not _differ(cut, more), "what comes after the limit does not"


def _words(count: int) -> str:
    return " ".join(["red", "heart"] * (count // 2) + ["red"] * (count % 2))


def _differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any((tensor != other[key]).any() for key, tensor in one.items())


LITE = ProfileSettings(trains="lora", steps=1)
STANDARD = ProfileSettings(trains="denoiser", steps=1)


@NAMES
def test_the_plan_counts_what_is_computed(pipeline_folder_of: FolderOf, name: str) -> None:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    checkpoint, family = _read(pipeline_folder_of, name), FAMILIES[name]
    backbone, pipeline = checkpoint.backbone, backbones.make(name)
    settings = SamplerSettings(
        steps=3, height=SIDE, width=SIDE, micro_batch=2, dtype="float32", guidance=family.guided
    )
    flops = Flops(checkpoint.parts, settings)
    with torch.no_grad():
        texts = backbone.embed(pipeline, ["a", "a"])
        empty = backbone.embed(pipeline, ["", ""])
        negative = backbone.unconditional(pipeline, empty)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        backbone.embed(pipeline, ["a"])
        latents = backbone.latents(
            pipeline,
            texts,
            negative,
            steps=3,
            guidance=family.guided,
            size=(SIDE, SIDE),
            generators=[torch.Generator("cpu").manual_seed(seed) for seed in (1, 2)],
        )
        backbone.decode(pipeline, latents)
    assert counter.get_total_flops() == 2 * flops.generation() + flops.text
    for profile in (LITE, STANDARD):
        denoiser, trained = trainable(pipeline.transformer, backbone, profile, frozen=torch.float32)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            times = torch.tensor([5.0, 900.0])
            predicted = backbone.predict(denoiser, latents, times, texts, (SIDE, SIDE))
            predicted.square().mean().backward()
        assert 2 * flops.training(profile, 2) == counter.get_total_flops()
        assert flops.parameters(profile) == sum(one.numel() for one in trained.values())
    memory = Memory(checkpoint.parts, settings, flops)
    assert memory.generation() > memory.weights
    plain = OptimizerSettings(batch=2, mixed_precision="no")
    assert memory.training(STANDARD, plain) > memory.training(LITE, plain) > memory.weights
