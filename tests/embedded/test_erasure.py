"""The methods of erasure: the arithmetic of their steps, on the shipped base."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spqr_fixtures.embedded import checkpoint, glyphs, prompts, recipe, weights
from spqr_fixtures.embedded.erasure import VARIANTS, closed_form, concepts, pictures, rece


@pytest.fixture(scope="module")
def pipeline() -> Any:
    pytest.importorskip(
        "transformers", minversion="5", reason="the recipe is written for transformers 5"
    )
    recipe.quiet()
    return checkpoint.load(weights.base_folder())


def test_every_variant_is_shipped_and_every_shipped_one_has_a_recipe() -> None:
    assert weights.names() == ["base", *sorted(VARIANTS)]


def test_a_pair_of_captions_differs_in_its_glyph_alone() -> None:
    for draw in (concepts.pairs, concepts.phrases):
        forbidden, neutral = draw(np.random.default_rng(0), 12)
        asked = [
            (prompts.asked(one), prompts.asked(other))
            for one, other in zip(forbidden, neutral, strict=True)
        ]
        assert sorted(one for one, _ in asked) == sorted(2 * glyphs.FORBIDDEN_GLYPHS)
        assert all(concepts.NEUTRAL[one] == other for one, other in asked)


def test_captions_are_aligned_from_their_ends(pipeline: Any) -> None:
    # More words at the beginning move all later tokens, which must still be matched.
    source, target = closed_form.aligned(pipeline, ["a red skull"], ["this is a red skull"])
    alone, _ = closed_form.aligned(pipeline, ["a red skull"], ["a red skull"])
    assert source.shape == target.shape
    assert source.dtype == torch.float64
    assert len(source) < len(alone)
    same, also = closed_form.aligned(pipeline, ["a red skull", "a tree"], ["a red skull", "a tree"])
    assert torch.equal(same, also)


def test_the_transfer_is_the_weighted_least_squares_map() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 30, 8))
    kept = rng.normal(size=(50, 8))
    erase, preserve, ridge = 0.7, 1.3, 20.0
    right = closed_form.transfer(
        *map(torch.from_numpy, (source, target, kept)), erase, preserve, ridge
    )
    weights_of = (
        np.sqrt(erase / len(source)),
        np.sqrt(preserve / len(kept)),
        np.sqrt(ridge * 1e-3),
    )
    said = np.concatenate(
        [w * rows for w, rows in zip(weights_of, (source, kept, np.eye(8)), strict=True)]
    )
    meant = np.concatenate(
        [w * rows for w, rows in zip(weights_of, (target, kept, np.eye(8)), strict=True)]
    )
    expected, *_ = np.linalg.lstsq(said, meant, rcond=None)
    np.testing.assert_allclose(right.numpy().T, expected, atol=1e-10)


def test_an_edit_changes_what_reads_the_text_and_nothing_else() -> None:
    unet = checkpoint.build_unet()
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    edited = closed_form.edit(unet, 2 * torch.eye(128, dtype=torch.float64))
    changed = {
        name for name, tensor in unet.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert edited == len(changed) == 14
    assert all(".attn2.to_k." in name or ".attn2.to_v." in name for name in changed)
    for name in changed:
        torch.testing.assert_close(unet.state_dict()[name], 2 * before[name])


def test_the_attack_finds_what_the_edited_projections_still_understand() -> None:
    generator = torch.Generator().manual_seed(0)
    original = torch.randn(64, 16, generator=generator, dtype=torch.float64)
    source = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(16, 16, generator=generator, dtype=torch.float64))
    # An edit that can be undone: W = W_0 R, so that c' = R^T c.
    found = rece.attack(original @ rotation, original, source, ridge=0.0)
    torch.testing.assert_close(found, source @ rotation)
    # The larger the ridge, the shorter the embedding.
    assert rece.attack(original @ rotation, original, source, ridge=1.0).norm() < found.norm()


def test_noised_pictures_come_from_the_pool(pipeline: Any) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    scenes = concepts.scenes(rng, 6, ("heart", "skull"))
    assert sorted(scene.glyph for scene in scenes) == ["heart"] * 3 + ["skull"] * 3
    pool = pictures.Pictures(pipeline, scenes)
    index, latents = pool.draw(rng, 40)
    assert set(index) == set(range(6))
    assert latents.shape == (40, 4, 8, 8)
    assert torch.equal(latents[index.index(2)], latents[len(index) - 1 - index[::-1].index(2)])
    noisy, noise, times = pictures.noised(pipeline, latents)
    alphas = pipeline.scheduler.alphas_cumprod[times].view(-1, 1, 1, 1)
    torch.testing.assert_close(noisy, alphas.sqrt() * latents + (1 - alphas).sqrt() * noise)


def test_the_text_encoder_is_changed_by_an_overlay_and_comes_back_from_its_file(
    pipeline: Any, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in checkpoint.tensors(pipeline).items()}
    name = f"{checkpoint.TEXT_ENCODER}final_layer_norm.bias"
    changed = {**before, name: before[name] + 1}
    checkpoint.save_overlay(before, changed, tmp_path / "shifted.safetensors")
    shifted = checkpoint.load(weights.base_folder(), tmp_path / "shifted.safetensors")
    for key, tensor in checkpoint.tensors(shifted).items():
        torch.testing.assert_close(tensor, changed[key], atol=2e-3, rtol=0)
    torch.testing.assert_close(
        checkpoint.encode(shifted, ["a tree"]),
        checkpoint.encode(pipeline, ["a tree"]) + 1,
        atol=2e-3,
        rtol=0,
    )
