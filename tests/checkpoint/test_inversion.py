"""Embeddings of textual inversion: the images that diffusers generates with their words."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint import adapter, text_reader
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from spqr_tests.store.store import Store
from tests.checkpoint.tiny_pipelines import FolderOf
from tests.tiny import backbones

PROMPT = "a red <cat-toy> heart"
ENCODERS = {"sd1": {"text_encoder": 16}, "sdxl": {"text_encoder": 16, "text_encoder_2": 24}}


def vectors(name: str, count: int) -> dict[str, torch.Tensor]:
    """Random vectors by text encoder, far enough from the others to change an image."""
    generator = torch.Generator().manual_seed(4)
    return {
        encoder: 3 * torch.randn(count, width, generator=generator)
        for encoder, width in ENCODERS[name].items()
    }


def images(pipeline: Any, prompt: str) -> torch.Tensor:
    found = pipeline(
        prompt,
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=2,
        height=backbones.SIDE,
        width=backbones.SIDE,
        output_type="np",
    )
    return torch.from_numpy(found.images)


def learned(name: str, word: str, given: dict[str, torch.Tensor]) -> Any:
    """A pipeline that learned a word by diffusers' own loader."""
    pipeline = backbones.make(name)
    for encoder, one in given.items():
        pipeline.load_textual_inversion(
            {word: one},
            token=word,
            text_encoder=getattr(pipeline, encoder),
            tokenizer=getattr(pipeline, encoder.replace("text_encoder", "tokenizer")),
        )
    return pipeline


def load(folder: Path, path: Path) -> Checkpoint:
    return read("base", folder, overlays=[path], allow_pickle=True)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_every_format_generates_diffusers_images(
    pipeline_folder_of: FolderOf, tmp_path: Path, name: str, count: int
) -> None:
    given, word, folder = vectors(name, count), "<cat-toy>", tmp_path / "trained"
    folder.mkdir()
    # diffusers' textual_inversion.py and textual_inversion_sdxl.py.
    for encoder, one in given.items():
        number = encoder.removeprefix("text_encoder")
        save_file({word: one}, folder / f"learned_embeds{number}.safetensors")
    paths = [folder]
    if name == "sd1":
        torch.save({word: given["text_encoder"]}, tmp_path / "learned_embeds.bin")
        save_file({"emb_params": given["text_encoder"]}, tmp_path / f"{word}.safetensors")
        web = {
            "string_to_token": {"*": 265},
            "string_to_param": {"*": given["text_encoder"]},
            "name": word,
            "step": 500,
            "sd_checkpoint": None,
        }
        torch.save(web, tmp_path / f"{word}.pt")
        paths += [tmp_path / "learned_embeds.bin", tmp_path / f"{word}.pt"]
        paths += [folder / "learned_embeds.safetensors"]
    else:
        both = {"clip_l": given["text_encoder"], "clip_g": given["text_encoder_2"]}
        save_file(both, tmp_path / f"{word}.safetensors")
    paths += [tmp_path / f"{word}.safetensors"]
    loaded = [load(pipeline_folder_of(name), path) for path in paths]
    assert len({one.fingerprint for one in loaded}) == 1
    base = read("base", pipeline_folder_of(name))
    assert loaded[0].fingerprint != base.fingerprint
    ours = loaded[0].pipeline("cpu", "float32")
    theirs = learned(name, word, given)
    torch.testing.assert_close(images(ours, PROMPT), images(theirs, PROMPT), rtol=0, atol=1e-5)
    plain = base.pipeline("cpu", "float32")
    assert (images(ours, PROMPT) - images(plain, PROMPT)).abs().max() > 1e-3
    assert torch.equal(images(ours, "a red heart"), images(plain, "a red heart"))
    said = loaded[0].recognised[-1]
    assert f"learn {word} ({count} vectors) by textual inversion; a prompt without it" in said
    assert not any(one.requires_grad for one in ours.text_encoder.parameters())


def test_a_word_is_as_many_tokens_as_it_has_vectors(
    pipeline_folder_of: FolderOf, tmp_path: Path, store: Store
) -> None:
    given = vectors("sd1", 40)["text_encoder"]
    save_file({"<cat-toy>": given}, tmp_path / "word.safetensors")
    loaded = load(pipeline_folder_of("sd1"), tmp_path / "word.safetensors")
    (reader,) = text_reader.of(loaded.parts)
    pipeline = learned("sd1", "<cat-toy>", {"text_encoder": given})
    texts = [f"{PROMPT} and {'a heart ' * 20}", f"{PROMPT}, {PROMPT}, {'a heart ' * 20}"]
    theirs = [
        len(pipeline.tokenizer(pipeline.maybe_convert_prompt(text, pipeline.tokenizer)).input_ids)
        for text in texts
    ]
    assert reader.tokens(texts, store) == theirs
    assert theirs[0] > 77


def test_an_adapter_may_be_a_word(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    save_file({"emb_params": vectors("sd1", 2)["text_encoder"]}, tmp_path / "stylish.safetensors")
    base = read("base", pipeline_folder_of("sd1"))
    found = adapter.read(base, "mine=stylish.safetensors", tmp_path, allow_pickle=False)
    assert [word.text for word in found.checkpoint.parts.words] == ["stylish"]
    assert found.fingerprint != base.fingerprint


@pytest.mark.parametrize(
    ("name", "file", "tensors", "said"),
    [
        ("sdxl", "x", {"clip_l": torch.ones(1, 16)}, "for the text_encoder alone, and the base's"),
        ("sdxl", "x", {"emb_params": torch.ones(1, 16)}, "and the base's text_encoder_2 reads"),
        ("sd1", "a word", {"emb_params": torch.ones(1, 16)}, "a word has no spaces: rename"),
        ("sd1", "x", {"emb_params": torch.ones(76, 16)}, "76 vectors, and a prompt has 75 tokens"),
        ("sd1", "circle</w>", {"emb_params": torch.ones(1, 16)}, "knows already"),
        ("sd1", "x", {"emb_params": torch.ones(1, 17)}, "for a text encoder of width 17"),
        ("sd3", "x", {"clip_l": torch.ones(1, 16)}, "is an embedding of textual inversion"),
    ],
)
def test_what_is_refused(
    pipeline_folder_of: FolderOf,
    tmp_path: Path,
    name: str,
    file: str,
    tensors: dict[str, torch.Tensor],
    said: str,
) -> None:
    path = tmp_path / f"{file.replace('/', '')}.safetensors"
    if file == "circle</w>":  # a word of the tiny vocabulary, which a file's name cannot hold
        tensors, path = {"<|endoftext|>": tensors["emb_params"]}, tmp_path / "x.safetensors"
    save_file(tensors, path)
    with pytest.raises(InputError) as refused:
        read("base", pipeline_folder_of(name), overlays=[path])
    assert path.name in str(refused.value)
    assert said in str(refused.value)


def test_a_word_twice_and_at_a_strength(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    path = tmp_path / "stylish.safetensors"
    save_file({"emb_params": torch.ones(1, 16)}, path)
    with pytest.raises(InputError, match="knows already"):
        read("base", pipeline_folder_of("sd1"), overlays=[path, path])
    with pytest.raises(InputError, match=r"has no strength; leave @0\.5 out"):
        read("base", pipeline_folder_of("sd1"), overlays=[Given(path, 0.5)])


def test_vectors_that_are_not_finite(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    save_file({"emb_params": torch.full((1, 16), torch.nan)}, path)
    loaded = read("base", pipeline_folder_of("sd1"), overlays=[path])
    with pytest.raises(InputError, match="the vectors of 'broken' are not all finite"):
        loaded.pipeline("cpu", "float32")
