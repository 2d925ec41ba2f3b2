"""SPMs as files: by what they are recognised, what is refused, and what reports say."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spqr_tests.checkpoint import adapter
from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.checkpoint.formats import overlay
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.checkpoint.strengths import MERGE, PROMPT, Given
from spqr_tests.errors import InputError
from tests.checkpoint.formats.overlay.overlays import apply, low_rank, save
from tests.checkpoint.tiny_pipelines import FolderOf, PartsOf, Tensors
from tests.tiny import backbones, spm

METADATA = {"prompts": "a red circle,a circle", "rank": "1", "alpha": "1.0"}
"""What SPM's trainer saves, and ACE's."""
BLOCK = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"
LAYERS = {"attn1_to_q": (8, 8), "attn2_to_k": (8, 16), "ff_net_2": (8, 32)}
MERGED = "this run merges it at strength 1 for every prompt"


def _tensors(*layers: str, rank: int = 1, alpha: float = 1.0) -> Tensors:
    found = {}
    for layer in layers or LAYERS:
        rows, columns = LAYERS[layer]
        found |= {
            f"{BLOCK}_{layer}.lora_down.weight": torch.ones(rank, columns),
            f"{BLOCK}_{layer}.lora_up.weight": torch.ones(rows, rank),
            f"{BLOCK}_{layer}.alpha": torch.tensor(alpha),
        }
    return found


def _saved(
    folder: Path,
    metadata: dict[str, str] | None = METADATA,
    tensors: Tensors | None = None,
    name: str = "spm.safetensors",
) -> Path:
    save_file(tensors or _tensors(), folder / name, metadata)
    return folder / name


def _refusal(parts: Parts, path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as refused:
        overlay.apply(parts, path, allow_pickle=False, **given)
    return str(refused.value)


@pytest.mark.parametrize("base", ["sd1", "sd2"])
def test_an_spm_is_said_to_be_scaled_by_the_prompt(
    parts_of: PartsOf, tmp_path: Path, base: str
) -> None:
    unet = backbones.make(base).unet
    path = spm.save(tmp_path / "spm.safetensors", spm.tensors(unet), METADATA["prompts"])
    parts, said = apply(parts_of(base), path)
    count, whole = len(list(spm.layers(unet))), len(unet.state_dict())
    assert said == (
        f"spm.safetensors: {count} of the unet's {whole} tensors get a low-rank update beside them,"
        " in kohya's names; it is an SPM of 'a red circle', 'a circle': scaled for each prompt by"
        " its similarity to what is erased, as its authors' infer_spm.py does"
    )
    assert parts.loras == ()
    assert parts.scaled[0].prompts == ("a red circle", "a circle")
    assert (parts.scaled[0].rank, parts.scaled[0].scale) == (1, 1.0)


def test_merged_when_asked_it_is_a_lora(parts_of: PartsOf, tmp_path: Path) -> None:
    parts, recognised = overlay.apply(
        parts_of("sd1"), _saved(tmp_path), allow_pickle=False, mode=MERGE
    )
    assert parts.scaled == ()
    assert len(parts.loras[0].updates) == len(LAYERS)
    assert recognised.sentence.endswith(
        f"{MERGED}, as @merge asks, and does not scale it by the prompt"
    )
    # Without its metadata it is merged to the same weights.
    bare, _ = apply(parts_of("sd1"), _saved(tmp_path, None, name="bare.safetensors"))
    assert bare.loras[0].digest() == parts.loras[0].digest()


def test_one_without_metadata_may_be_one(parts_of: PartsOf, tmp_path: Path) -> None:
    path = _saved(tmp_path, None)
    _, said = apply(parts_of("sd1"), path)
    assert "; it is of rank 1 and without metadata: if it is an SPM, its authors scale" in said
    assert said.endswith(MERGED)
    _, recognised = overlay.apply(parts_of("sd1"), path, allow_pickle=False, mode=MERGE)
    assert recognised.sentence == said
    said = _refusal(parts_of("sd1"), path, mode=PROMPT)
    assert "has no metadata that names the erased prompts; write spm.safetensors@merge" in said


@pytest.mark.parametrize(
    "metadata",
    [
        {"ss_network_dim": "1", "ss_network_module": "networks.lora"},
        {"ss_network_dim": "1", **METADATA},
        {"prompts": "[]", "config": "{}"},
        {"format": "pt"},
    ],
)
def test_another_lora_of_rank_1_is_not_said_to_be_one(
    parts_of: PartsOf, tmp_path: Path, metadata: dict[str, str]
) -> None:
    path = _saved(tmp_path, metadata)
    _, said = apply(parts_of("sd1"), path)
    assert said.endswith("in kohya's names")
    for mode in (MERGE, PROMPT):
        assert _refusal(parts_of("sd1"), path, mode=mode).endswith(
            "is not an SPM or an ACE adapter, which alone may be scaled by the prompt; leave"
            f" @{mode} out."
        )
    _, said = apply(parts_of("sd1"), _saved(tmp_path, None, _tensors("attn1_to_q")))
    assert said.endswith("in kohya's names")


def test_other_loras_have_no_note(parts_of: PartsOf, tmp_path: Path) -> None:
    path = save(tmp_path / "lora.safetensors", low_rank())
    _, recognised = overlay.apply(parts_of("sd1"), path, allow_pickle=False)
    assert not recognised.note


def test_nobody_can_tell_an_ace_from_an_spm_of_its_rank(parts_of: PartsOf, tmp_path: Path) -> None:
    path = _saved(tmp_path, METADATA | {"rank": "4"}, _tensors(rank=4))
    said = _refusal(parts_of("sd1"), path)
    assert "may be an SPM, which its authors scale by the prompt, or an ACE adapter" in said
    assert "Write spm.safetensors@prompt for the first, spm.safetensors@merge for the sec" in said
    scaled, _ = overlay.apply(parts_of("sd1"), path, allow_pickle=False, mode=PROMPT)
    assert scaled.scaled[0].scale == 0.25
    merged, _ = overlay.apply(parts_of("sd1"), path, allow_pickle=False, mode=MERGE)
    assert (len(merged.loras), merged.scaled) == (1, ())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompts": ""}, "names the erased prompts '', of which one, between commas, is empty"),
        ({"prompts": "a, "}, "names the erased prompts 'a, ', of which one"),
        ({"rank": None}, "has SPM's metadata without rank"),
        ({"alpha": None}, "has SPM's metadata without alpha"),
        ({"rank": "one"}, "says in its metadata that its rank is 'one'"),
        ({"rank": "nan"}, "says in its metadata that its rank is 'nan'"),
        ({"rank": "0"}, "says in its metadata that its rank is 0"),
        ({"rank": "2"}, "says in its metadata that its rank is 2, and that of lora_unet_down"),
        ({"alpha": "-1"}, "says in its metadata that its alpha is '-1'"),
        ({"alpha": "2.0"}, "says in its metadata that its alpha is 2, and that of down_blocks"),
    ],
)
def test_broken_metadata(
    parts_of: PartsOf, tmp_path: Path, changed: dict[str, str | None], said: str
) -> None:
    metadata = {name: one for name, one in (METADATA | changed).items() if one is not None}
    path = _saved(tmp_path, metadata)
    refused = _refusal(parts_of("sd1"), path)
    assert f"--spqr-overlay {path} {said}" in refused
    assert refused.endswith(
        "; its metadata are damaged: take the file as its trainer saved it, or write"
        " spm.safetensors@merge to measure it at strength 1 for every prompt."
    )
    parts, _ = overlay.apply(parts_of("sd1"), path, allow_pickle=False, mode=MERGE)
    assert len(parts.loras) == 1


def test_alpha_is_what_the_trainer_means_by_it(parts_of: PartsOf, tmp_path: Path) -> None:
    """0 is the rank; in half precision the tensor is rounded, and the metadata are not."""
    none = _saved(tmp_path, METADATA | {"alpha": "0"})
    assert apply(parts_of("sd1"), none)[0].scaled[0].scale == 1
    half = {name: one.bfloat16() for name, one in _tensors(alpha=0.3).items()}
    rounded = _saved(tmp_path, METADATA | {"alpha": "0.3"}, half)
    assert apply(parts_of("sd1"), rounded)[0].scaled[0].scale == 0.3


def test_what_the_trainer_does_not_save(parts_of: PartsOf, tmp_path: Path) -> None:
    text = {
        f"lora_te_text_model_encoder_layers_0_self_attn_q_proj.{name}": tensor
        for name, tensor in (
            ("lora_down.weight", torch.ones(1, 16)),
            ("lora_up.weight", torch.ones(16, 1)),
            ("alpha", torch.tensor(1.0)),
        )
    }
    said = _refusal(parts_of("sd1"), _saved(tmp_path, METADATA, _tensors() | text))
    assert "holds lora_te_text_model_encoder_layers_0_self_attn_q_proj, which its trainer" in said
    drawn = _tensors() | {f"{BLOCK}_attn1_to_q.dora_scale": torch.ones(8, 1)}
    said = _refusal(parts_of("sd1"), _saved(tmp_path, METADATA, drawn))
    assert "attn1.to_q.weight otherwise than by a product of two matrices" in said


def test_other_families_are_named(parts_of: PartsOf, tmp_path: Path) -> None:
    unet = backbones.make("sdxl").unet
    path = spm.save(tmp_path / "xl.safetensors", spm.tensors(unet), "a circle")
    said = _refusal(parts_of("sdxl"), path)
    assert "for Stable Diffusion 1.x and 2.x alone, and this base is Stable Diffusion XL" in said
    assert said.endswith("write xl.safetensors@merge to measure it at strength 1 for every prompt.")
    parts, _ = overlay.apply(parts_of("sdxl"), path, allow_pickle=False, mode=MERGE)
    assert len(parts.loras) == 1


@pytest.mark.parametrize(
    ("metadata", "tensors", "what"),
    [
        ({"rank": "4"}, _tensors(rank=4), "rank"),
        ({"alpha": "0.5"}, _tensors(alpha=0.5), "alpha"),
        ({}, _tensors("attn1_to_q"), "layers"),
    ],
)
def test_spms_that_cannot_be_added_up(
    parts_of: PartsOf, tmp_path: Path, metadata: dict[str, str], tensors: Tensors, what: str
) -> None:
    parts, _ = apply(parts_of("sd1"), _saved(tmp_path))
    other = _saved(tmp_path, METADATA | metadata, tensors, "other.safetensors")
    said = _refusal(parts, other, mode=PROMPT)
    assert f"are SPMs of different {what}, which their authors' code does not use together" in said


def test_it_has_no_other_strength(parts_of: PartsOf, tmp_path: Path) -> None:
    said = _refusal(parts_of("sd1"), _saved(tmp_path), strength=0.5)
    assert "whose strength is another one for each prompt; leave @0.5 out, or write spm.saf" in said


def test_an_adapter_and_an_overlay_are_one_model(
    pipeline_folder_of: FolderOf, tmp_path: Path
) -> None:
    folder = pipeline_folder_of("sd1")
    base = read("base", folder)
    path = _saved(tmp_path)
    for mode in ("", MERGE):
        text = f"mine={path.name}{mode and '@'}{mode}"
        found = adapter.read(base, text, tmp_path, allow_pickle=False)
        overlaid = read("base", folder, overlays=[Given(path, mode=mode)])
        assert found.fingerprint == overlaid.fingerprint
    with pytest.raises(
        InputError, match=r"^--spqr-adapter mine=spm\.safetensors@0\.5: "
    ) as refused:
        adapter.read(base, "mine=spm.safetensors@0.5", tmp_path, allow_pickle=False)
    assert "spqr-overlay" not in str(refused.value)


def test_values_that_are_not_finite(pipeline_folder_of: FolderOf, tmp_path: Path) -> None:
    tensors = _tensors() | {f"{BLOCK}_ff_net_2.lora_up.weight": torch.full((8, 1), float("inf"))}
    path = _saved(tmp_path, METADATA, tensors)
    checkpoint = read("base", pipeline_folder_of("sd1"), overlays=[path])
    with pytest.raises(InputError, match="holds values that are not finite for down_blocks"):
        checkpoint.pipeline("cpu", "float32")
