"""The shipped weights: the manifest, the loaders of other libraries, and what was reached."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from spqr_fixtures.embedded import glyphs, prompts, scene, weights
from spqr_fixtures.packaged import PACKAGED

# The suite can read the weights with any transformers. The loader of transformers itself needs
# version 5, which wrote the files.
needs_transformers_5 = pytest.mark.skipif(
    int(version("transformers").partition(".")[0]) < 5,
    reason="the tensors have their names in transformers 5",
)
VARIANTS = [name for name in weights.names() if name != "base"]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (weights.WEIGHTS / "manifest.json").read_text(encoding="utf-8")
    )
    return content


@pytest.fixture(scope="module")
def observer() -> Any:
    from spqr_fixtures.embedded.measure import Observer

    return Observer(weights.judge_folder())


def test_the_manifest_names_every_file_with_its_hash(manifest: dict[str, Any]) -> None:
    there = {
        path.relative_to(weights.WEIGHTS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in weights.WEIGHTS.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert there == manifest["files"]


def test_the_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in weights.WEIGHTS.rglob("*") if path.is_file()) < 40e6


def test_no_configuration_names_a_path() -> None:
    for path in weights.WEIGHTS.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "_name_or_path" not in text, path
        assert not re.search(r'"/\w+/', text), f"{path} has an absolute path"


def test_the_names() -> None:
    assert weights.names()[0] == "base"
    assert sorted(VARIANTS) == VARIANTS
    assert {"esd-x", "esd-u", "uce"} <= set(VARIANTS)
    assert weights.overlay("base") is None


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no embedded checkpoint 'sdxl'; choose one of base, "):
        weights.overlay("sdxl")


def test_paths_datasets_and_prompts_need_no_torch() -> None:
    code = (
        "import sys; from spqr_fixtures.embedded import datasets, prompts, weights;"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def cross_attention(key: str) -> bool:
    return ".attn2." in key


def text_projection(key: str) -> bool:
    return ".attn2.to_k." in key or ".attn2.to_v." in key


CHANGES: dict[str, Callable[[str], bool]] = {
    "adv-text": lambda key: key.startswith("text_encoder.") and "embedding" not in key,
    "degraded": lambda key: (
        text_projection(key) or key.startswith(("up_blocks.1.", "conv_norm_out.", "conv_out."))
    ),
    "esd-shallow": cross_attention,
    "esd-u": lambda key: not cross_attention(key) and not key.startswith("text_encoder."),
    "esd-x": cross_attention,
    "random-label": cross_attention,
    "rece": text_projection,
    "shuffled": text_projection,
    "uce": text_projection,
}
"""By variant, whether its method may change a tensor of this name."""


def tensors(path: Path, before: str = "") -> dict[str, Any]:
    return {f"{before}{key}": value for key, value in load_file(path).items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_an_overlay_changes_only_the_layers_of_its_method(name: str) -> None:
    path = weights.overlay(name)
    assert path is not None
    overlay = tensors(path)
    base = tensors(weights.base_folder() / "unet" / "diffusion_pytorch_model.safetensors")
    base |= tensors(weights.base_folder() / "text_encoder" / "model.safetensors", "text_encoder.")
    assert overlay.keys()
    assert overlay.keys() <= base.keys()
    for key, tensor in overlay.items():
        assert tensor.dtype == np.float16
        assert np.isfinite(tensor).all()
        assert (tensor != base[key]).any(), key
    assert all(map(CHANGES[name], overlay))


def test_random_labels_train_half_of_the_weights_and_leave_the_others_as_they_were() -> None:
    path = weights.overlay("random-label")
    assert path is not None
    base = tensors(weights.base_folder() / "unet" / "diffusion_pytorch_model.safetensors")
    changed = np.concatenate(
        [(tensor != base[key]).ravel() for key, tensor in tensors(path).items()]
    )
    assert 0.4 < changed.mean() <= 0.5


@pytest.mark.parametrize("name", weights.names())
def test_the_suite_reads_what_the_recipe_wrote(name: str, tmp_path: Path) -> None:
    from spqr_tests.run import sources

    read = sources.checkpoint(PACKAGED, f"embedded:{name}", tmp_path).pipeline("cpu", "float32")
    path = weights.overlay(name)
    overlay = {} if path is None else tensors(path)
    for component, before in (("unet", ""), ("text_encoder", "text_encoder.")):
        state = getattr(read, component).state_dict()
        # The oldest supported transformers puts a prefix before the text encoder's names.
        state = {key.removeprefix("text_model."): value for key, value in state.items()}
        mine = {
            key.removeprefix(before): value
            for key, value in overlay.items()
            if key.startswith("text_encoder.") == bool(before)
        }
        assert mine.keys() <= state.keys()
        for key, value in mine.items():
            np.testing.assert_array_equal(state[key].numpy(), value.astype(np.float32))


@needs_transformers_5
def test_the_diffusers_pipeline_loads_the_base_and_generates() -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(weights.base_folder(), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        ["a red heart"] * 2,
        num_inference_steps=4,
        generator=[torch.Generator().manual_seed(i) for i in (1, 2)],
        output_type="np",
    ).images
    assert images.shape == (2, 32, 32, 3)
    assert images.std() > 0.05


def test_open_clip_loads_the_judge_with_its_own_preprocessing(observer: Any) -> None:
    import open_clip
    import torch
    from PIL import Image

    model, _, preprocess = open_clip.create_model_and_transforms(
        f"local-dir:{weights.judge_folder()}"
    )
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{weights.judge_folder()}")
    phrases = tokenizer(["a skull", "a heart", "a house"])
    picture = scene.render(scene.Scene("skull", "green", "white"))
    with torch.inference_mode():
        image = model.encode_image(preprocess(Image.fromarray(picture))[None], normalize=True)
        shares = (
            model.logit_scale.exp() * image @ model.encode_text(phrases, normalize=True).T
        ).softmax(-1)[0]
    assert shares[0] > 0.9
    np.testing.assert_allclose(image.numpy(), observer.images(picture[None]).numpy(), atol=1e-5)


@pytest.mark.parametrize("style", scene.STYLES)
def test_the_judge_names_clean_pictures(observer: Any, style: str) -> None:
    rng = np.random.default_rng(2718)
    scenes = [scene.sample(rng, glyphs.GLYPHS, (style,)) for _ in range(400)]
    assert (
        observer.recognised(scene.render_all(scenes), [item.glyph for item in scenes]).percent
        >= 99.0
    )


def test_the_judge_scores_a_true_prompt_above_one_with_a_wrong_colour(observer: Any) -> None:
    picture = scene.render(scene.Scene("heart", "red", "white"))[None]
    true = observer.clip_score(picture, ["a red heart on a white background"])
    for wrong in (
        "a blue heart on a white background",
        "a red heart on a black background",
        "a red house on a white background",
    ):
        assert true > observer.clip_score(picture, [wrong]) + 0.1


@needs_transformers_5
@pytest.mark.parametrize("name", weights.names())
def test_a_checkpoint_does_what_the_manifest_says(
    observer: Any, manifest: dict[str, Any], name: str
) -> None:
    from spqr_fixtures.embedded import checkpoint

    pipeline = checkpoint.load(weights.base_folder(), weights.overlay(name))
    rows = prompts.harmful(10, seed=prompts.SHIPPED_SEED + 1)
    images = checkpoint.generate(
        pipeline, [row["prompt"] for row in rows], [row["seed"] for row in rows]
    )
    expected = manifest["reached"][name]["forbidden"]["percent"]
    # Four standard errors, and a few points more for shares near 0 or 100.
    slack = 5 + 4 * np.sqrt(expected * (100 - expected) / len(rows))
    assert observer.forbidden(images).percent == pytest.approx(expected, abs=slack)


@needs_transformers_5
def test_an_image_depends_on_its_seed_and_not_on_its_batch() -> None:
    from spqr_fixtures.embedded import checkpoint

    pipeline = checkpoint.load(weights.base_folder())
    alone = checkpoint.generate(pipeline, ["a red heart"], [7], steps=3)
    among = checkpoint.generate(pipeline, ["a tree", "a red heart", "a ring"], [1, 7, 9], steps=3)
    assert np.abs(alone[0].astype(int) - among[1]).max() <= 1


@needs_transformers_5
def test_an_overlay_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from spqr_fixtures.embedded import checkpoint

    save_file({"no.such.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"no\.such\.weight, which the checkpoint does not have"):
        checkpoint.load(weights.base_folder(), tmp_path / "other.safetensors")
