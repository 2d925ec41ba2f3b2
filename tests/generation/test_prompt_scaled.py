"""SPMs, which are scaled for each prompt: as their authors' code does, next to any other prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_tests.checkpoint import prompt_scaled
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.strengths import MERGE, PROMPT, Given
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import InputError
from spqr_tests.generation import finetuning, text_encoder_training
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.memory import Memory
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.settings.trainer import TextEncoderSettings
from tests.generation.families import LITE, STANDARD, Family
from tests.tiny import spm
from tests.tiny.backbones import SIDE

SETTINGS = SamplerSettings(steps=3, height=SIDE, width=SIDE, micro_batch=4, dtype="float32")
OPTIONS = {"num_inference_steps": 3, "height": SIDE, "width": SIDE, "guidance_scale": 7.5}
ROWS = [
    (spm.ERASED, 1),
    (spm.UNRELATED, 2),
    ("red ring on a green tree", 3),
    ("star", 4),
]


class Decoding:
    """A backbone that keeps the images that it decodes, (n, height, width, 3) in [0, 1]."""

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone
        self.images: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def decode(self, pipeline: Any, latents: Any) -> Any:
        decoded = self._backbone.decode(pipeline, latents)
        self.images = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        return decoded


@pytest.fixture(scope="module")
def made() -> Any:
    """The pipeline without any adapter."""
    return spm.pipeline()


@pytest.fixture(scope="module")
def folder(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline's folder, and SPMs of it beside: their state dicts are those of `_state`."""
    folder = tmp_path_factory.mktemp("spm")
    made.save_pretrained(folder / "base")
    for number, prompts in enumerate(PROMPTS):
        spm.save(folder / f"{number}.safetensors", spm.tensors(made.unet, number), prompts)
    return folder


PROMPTS = (spm.ERASED, "green tree,star")


def _read(folder: Path, *overlays: Path | Given) -> Checkpoint:
    return read("base", folder / "base", overlays=overlays)


def _images(checkpoint: Checkpoint, rows: Sequence[tuple[str, int]] = ROWS) -> Any:
    backbone: Any = Decoding(checkpoint.backbone)
    sampler = Sampler(checkpoint.pipeline("cpu", "float32"), backbone, SETTINGS)
    sampler.generate([Prompt(text, seed) for text, seed in rows])
    return backbone.images


def _close(ours: Any, due: Any) -> None:
    import torch

    torch.testing.assert_close(ours, due, rtol=0, atol=1e-5)


@pytest.mark.parametrize("numbers", [(0,), (1,), (0, 1)], ids=["one", "two prompts", "two SPMs"])
def test_each_row_of_a_micro_batch_is_what_the_authors_code_gives_alone(
    made: Any, folder: Path, numbers: tuple[int, ...]
) -> None:
    spms = [(spm.tensors(made.unet, number), PROMPTS[number]) for number in numbers]
    checkpoint = _read(folder, *(folder / f"{number}.safetensors" for number in numbers))
    _close(_images(checkpoint), spm.images(made, spms, ROWS, **OPTIONS))


def test_another_rank_and_alpha(made: Any, tmp_path: Path, folder: Path) -> None:
    state = spm.tensors(made.unet, 5, rank=4, alpha=2.0)
    path = spm.save(tmp_path / "wide.safetensors", state, spm.ERASED, rank=4, alpha=2.0)
    due = spm.images(made, [(state, spm.ERASED)], ROWS, scale=0.5, **OPTIONS)
    _close(_images(_read(folder, Given(path, mode=PROMPT))), due)


def test_an_unrelated_prompt_is_left_alone_and_the_erased_one_is_not(
    made: Any, folder: Path
) -> None:
    assert spm.strength(made, spm.UNRELATED, spm.ERASED) == pytest.approx(0, abs=1e-6)
    checkpoint = _read(folder, folder / "0.safetensors")
    ours, without = _images(checkpoint), _images(_read(folder))
    merged = _images(_read(folder, Given(folder / "0.safetensors", mode=MERGE)))
    _close(ours[1], without[1])
    assert (merged[1] - without[1]).abs().max() > 1e-2
    # Of the erased prompt itself, the strength is 1.
    _close(ours[0], merged[0])
    assert (ours[0] - without[0]).abs().max() > 1e-2


def test_merged_is_the_sum_of_the_weights_and_other_evidence(made: Any, folder: Path) -> None:
    import torch

    path = folder / "0.safetensors"
    merged = _read(folder, Given(path, mode=MERGE))
    weights = merged.pipeline("cpu", "float32").unet.state_dict()
    state = spm.tensors(made.unet, 0)
    names = {id(layer): name for name, layer in spm.layers(made.unet)}
    for name, layer in made.unet.named_modules():
        if id(layer) in names:
            own = names[id(layer)]
            up, down = state[f"{own}.lora_up.weight"], state[f"{own}.lora_down.weight"]
            added = (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape)
            torch.testing.assert_close(weights[f"{name}.weight"], layer.weight + added)
    others = [_read(folder), _read(folder, path), _read(folder, folder / "1.safetensors")]
    assert len({one.fingerprint for one in (merged, *others)}) == 4


def test_what_a_prompt_erases_is_part_of_the_fingerprint(
    made: Any, folder: Path, tmp_path: Path
) -> None:
    other = spm.save(tmp_path / "other.safetensors", spm.tensors(made.unet, 0), "star")
    same = spm.save(tmp_path / "same.safetensors", spm.tensors(made.unet, 0), PROMPTS[0])
    known = _read(folder, folder / "0.safetensors").fingerprint
    assert _read(folder, other).fingerprint != known
    assert _read(folder, same).fingerprint == known


def test_an_image_does_not_depend_on_its_neighbours(folder: Path) -> None:
    checkpoint = _read(folder, folder / "0.safetensors", folder / "1.safetensors")
    sampler = Sampler(checkpoint.pipeline("cpu", "float32"), checkpoint.backbone, SETTINGS)
    prompts = [Prompt(text, seed) for text, seed in ROWS]
    together = sampler.generate(prompts)
    for prompt, image in zip(prompts, together, strict=True):
        np.testing.assert_array_equal(sampler.generate([prompt])[0], image)


BOTH = LITE.model_copy(update={"text_encoder": TextEncoderSettings()})


@pytest.mark.parametrize("profile", [BOTH, STANDARD], ids=["with text encoder", "denoiser"])
def test_a_training_does_not_see_it_and_its_images_do(
    folder: Path, benign_set: BenignSet, profile: ProfileSettings
) -> None:
    """The trained weights are those of the base; what is sampled of them has the SPM beside."""
    import torch

    alone, beside = _read(folder), _read(folder, folder / "0.safetensors")
    families = [
        Family("sd1", benign_set, one.pipeline("cpu", "float32")) for one in (alone, beside)
    ]
    left = [family.finetune(profile).tensors for family in families]
    assert left[0].keys() == left[1].keys()
    assert all(torch.equal(left[0][name], left[1][name]) for name in left[0])

    images = []
    for family, tensors in zip(families, left, strict=True):
        unet = finetuning.apply(family.denoiser, family.backbone, profile, tensors)
        encoders = text_encoder_training.apply(family.pipeline, family.backbone, profile, tensors)
        backbone: Any = Decoding(family.backbone)
        sampler = Sampler(family.pipeline, backbone, SETTINGS).with_models(
            {"unet": unet, **encoders}
        )
        sampler.generate([Prompt(text, seed) for text, seed in ROWS])
        images.append((sampler.pipeline, backbone.images))
    (trained, without), (_, ours) = images
    trained.set_progress_bar_config(disable=True)
    state = spm.tensors(trained.unet, 0)
    _close(ours, spm.images(trained, [(state, PROMPTS[0])], ROWS, **OPTIONS))
    assert (ours - without).abs().max() > 1e-2


def test_the_plan_counts_what_it_computes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    checkpoint = _read(folder, folder / "0.safetensors", folder / "1.safetensors")
    flops, without = Flops(checkpoint.parts, SETTINGS), Flops(_read(folder).parts, SETTINGS)
    pipeline = checkpoint.pipeline("cpu", "float32")
    sampler = Sampler(pipeline, checkpoint.backbone, SETTINGS)
    prompts = [Prompt(text, seed) for text, seed in ROWS]
    sampler.generate(prompts)  # the texts are embedded once
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        sampler.generate(prompts)
    assert counter.get_total_flops() == 4 * flops.generation()
    assert flops.forward > without.forward
    assert flops.training(STANDARD, 4) == without.training(STANDARD, 4)
    assert flops.parameters(STANDARD) == without.parameters(STANDARD)
    size = sum(
        one.numel()
        for name, one in spm.tensors(pipeline.unet).items()
        if not name.endswith("alpha")
    )
    assert flops.all_parameters == without.all_parameters + 2 * size
    half = SETTINGS.model_copy(update={"dtype": "float16"})
    more, less = (
        Memory(one.parts, half, count).generation()
        for one, count in ((checkpoint, flops), (_read(folder), without))
    )
    assert more >= less + 2 * 2 * size


def test_an_erased_prompt_without_a_token_of_its_own(
    made: Any, folder: Path, tmp_path: Path
) -> None:
    state = spm.tensors(made.unet, 0)
    path = spm.save(tmp_path / "none.safetensors", state, "star,<|endoftext|>")
    with pytest.raises(InputError, match=r"An SPM erases '<\|endoftext\|>', which has no token"):
        _images(_read(folder, path))


def test_half_precision(folder: Path) -> None:
    checkpoint = _read(folder, folder / "0.safetensors")
    settings = SETTINGS.model_copy(update={"dtype": "bfloat16"})
    pipeline = checkpoint.pipeline("cpu", "bfloat16")
    assert prompt_scaled.of(pipeline.unet) is not None
    sampler = Sampler(pipeline, checkpoint.backbone, settings)
    images = sampler.generate([Prompt(text, seed) for text, seed in ROWS])
    assert all(image.std() > 0 for image in images)
