"""FLOPs of published architectures, and of a tiny pipeline that generates and trains."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.sizes.architectures import published
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation.finetuning import seen, steps_of, trainable
from spqr_tests.generation.sampling import Sampler
from spqr_tests.planning.flops import Flops
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.settings.trainer import PriorSettings, TextEncoderSettings
from tests import tiny
from tests.tiny import backbones

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

TERA = 1e12
LITE = ProfileSettings(trains="lora", steps=1)
MODERATE = ProfileSettings(trains="cross-attention", steps=1)
STANDARD = ProfileSettings(trains="denoiser", steps=1)


@pytest.fixture(scope="module")
def counted() -> Callable[..., Flops]:
    """The counts of a published architecture, its pipeline built once."""
    found: dict[Any, Flops] = {}

    def count(name: str, side: int, **settings: Any) -> Flops:
        sampler = SamplerSettings(height=side, width=side, **{"micro_batch": 1, **settings})
        return found.setdefault((name, sampler), Flops(published(name), sampler))

    return count


class TestPublished:
    """Other people's counts, with 2 FLOPs a multiply-add.

    Stable Diffusion 1.5 at 512 pixels, for one, has .803 TFLOP a forward pass.
    """

    def test_the_parts_of_stable_diffusion_1(self, counted: Callable[..., Flops]) -> None:
        flops = counted("sd1", 512, scheduler="ddim")
        assert flops.forward / TERA == pytest.approx(0.803, abs=5e-4)
        assert flops.decode / TERA == pytest.approx(2.51, abs=5e-3)
        assert flops.encode / TERA == pytest.approx(1.12, abs=5e-3)
        # 12 layers of width 768 on 77 tokens: 24 d^2 a token, and attention's 4 n^2 d.
        assert flops.text == 12 * (24 * 77 * 768**2 + 4 * 77**2 * 768)

    def test_a_generation_of_stable_diffusion_1(self, counted: Callable[..., Flops]) -> None:
        flops = counted("sd1", 512, scheduler="ddim")
        assert flops.forwards == 50
        assert flops.generation() / TERA == pytest.approx(82.9, abs=0.1)
        assert flops.generation(1.0) == 50 * flops.forward + flops.decode
        assert flops.generation() == 2 * 50 * flops.forward + flops.decode

    def test_a_scheduler_that_takes_a_step_more(self, counted: Callable[..., Flops]) -> None:
        assert counted("sd1", 512).forwards == 51  # PNDM, which the checkpoint is published with

    @pytest.mark.parametrize(
        ("profile", "step"), [(STANDARD, 38.5), (MODERATE, 27.1), (LITE, 27.7)]
    )
    def test_a_training_step(
        self, counted: Callable[..., Flops], profile: ProfileSettings, step: float
    ) -> None:
        found = counted("sd1", 512, scheduler="ddim").training(profile, 16)
        assert 16 * found / TERA == pytest.approx(step, rel=0.01)

    def test_the_trained_parameters(self, counted: Callable[..., Flops]) -> None:
        flops = counted("sd1", 512, scheduler="ddim")
        assert flops.parameters(STANDARD) == 859_520_964
        # LoRA of rank 8 on the projections of both attentions of 16 blocks, as peft reports it.
        assert flops.parameters(LITE) == 1_594_368

    @pytest.mark.parametrize(
        ("name", "steps", "picture"),
        [("sdxl", 30, 414), ("flux-dev", 28, 2091)],
    )
    def test_a_generation_of_the_large_ones(
        self, counted: Callable[..., Flops], name: str, steps: int, picture: float
    ) -> None:
        flops = counted(name, 1024, steps=steps, guidance=5.0)
        assert flops.forwards == steps
        assert flops.generation() / TERA == pytest.approx(picture, rel=0.01)

    def test_guidance_that_is_an_input_doubles_nothing(self, counted: Callable[..., Flops]) -> None:
        flops = counted("flux-dev", 1024, steps=28, guidance=5.0)
        assert flops.generation() == 28 * flops.forward + flops.decode

    def test_a_step_of_the_whole_denoiser_is_three_forwards(
        self, counted: Callable[..., Flops]
    ) -> None:
        flops = counted("flux-dev", 1024, steps=28, guidance=5.0)
        assert flops.training(STANDARD, 1) / flops.forward == pytest.approx(3, rel=0.01)


@pytest.fixture(scope="module")
def flops(checkpoint: Checkpoint) -> Flops:
    """The counts of the tiny pipeline."""
    return Flops(checkpoint.parts, tiny.settings())


class TestAgainstRealWork:
    def test_generating(
        self,
        flops: Flops,
        pipeline: "StableDiffusionPipeline",
        checkpoint: Checkpoint,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        sampler = Sampler(pipeline, checkpoint.backbone, tiny.settings())
        prompts = [Prompt(f"a heart of colour {number}", number) for number in range(4)]
        sampler._embed([""] * 4, "a test")
        # Not every torch counts attention in inference mode, or in the fused kernels of a CPU.
        monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            sampler.generate(prompts)
        assert counter.get_total_flops() == 4 * (flops.generation() + flops.text)

    @pytest.mark.parametrize(
        "profile", [LITE, MODERATE, STANDARD], ids=lambda profile: profile.trains
    )
    def test_training(
        self,
        flops: Flops,
        pipeline: "StableDiffusionPipeline",
        checkpoint: Checkpoint,
        profile: ProfileSettings,
    ) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        backbone = checkpoint.backbone
        with torch.no_grad():
            text = backbone.embed(pipeline, ["a heart"] * 4)
        denoiser, trained = trainable(pipeline.unet, backbone, profile, frozen=torch.float32)
        # Fused kernels compute attention's scores once more on the way back, and each in its own
        # way.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            rows = tiny.SIDE // 2
            predicted = backbone.predict(
                denoiser,
                torch.zeros(4, 4, rows, rows),
                torch.zeros(4),
                text,
                (tiny.SIDE, tiny.SIDE),
            )
            predicted.square().mean().backward()
        assert 4 * flops.training(profile, 4) == counter.get_total_flops()
        assert flops.parameters(profile) == sum(parameter.numel() for parameter in trained.values())

    def test_no_weight_is_read(
        self, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from spqr_tests.checkpoint.formats.tensor import ModelTensor

        monkeypatch.setattr(ModelTensor, "tensor", lambda _: pytest.fail("a weight was read"))
        assert Flops(checkpoint.parts, tiny.settings()).generation() > 0

    @pytest.mark.parametrize("name", ["sd1", "sdxl", "sd3", "flux"])
    def test_text_encoders_that_are_trained(self, name: str, tmp_path: Path) -> None:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        from spqr_tests.checkpoint.checkpoint import read
        from spqr_tests.generation.text_encoder_training import TextEncoders

        parts = read(name, backbones.build(name, tmp_path / name)).parts
        sampler = SamplerSettings(
            steps=3, height=backbones.SIDE, width=backbones.SIDE, micro_batch=2, dtype="float32"
        )
        flops = Flops(parts, sampler)
        both = LITE.model_copy(update={"text_encoder": TextEncoderSettings()})
        pipeline = backbones.make(name)
        size, shape = (backbones.SIDE,) * 2, (2, pipeline.vae.config.latent_channels, 16, 16)
        denoiser, _ = trainable(
            getattr(pipeline, parts.backbone.denoiser), parts.backbone, both, frozen=torch.float32
        )
        encoders = TextEncoders(pipeline, parts.backbone, both, frozen=torch.float32)
        encoders.embed(["a ring"] * 2)  # T5 has said what it says
        # As above, of a CPU's fused kernels.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            text = encoders.embed(["a ring"] * 2)
            predicted = parts.backbone.predict(
                denoiser, torch.randn(shape), torch.tensor([5.0, 900.0]), text, size
            )
            predicted.square().mean().backward()
        assert flops.training(both, 2) == counter.get_total_flops() // 2
        assert flops.training(both, 2) > flops.training(LITE, 2)
        assert flops.parameters(both) == flops.parameters(LITE) + sum(
            one.numel() for one in encoders.trained.values()
        )


class TestRefusals:
    def test_a_profile_that_does_not_fit(self, checkpoint: Checkpoint) -> None:
        profile = ProfileSettings(trains="lora", steps=1, targets=("to_z",))
        with pytest.raises(EvidenceError, match="does not fit this denoiser"):
            Flops(checkpoint.parts, tiny.settings()).training(profile, 4)

    def test_a_config_that_builds_nothing(self, folder: Path) -> None:
        from spqr_tests.checkpoint.checkpoint import read

        tiny.edit_json(
            folder / "unet" / "config.json",
            lambda config: config.update(down_block_types=["NoSuchBlock"]),
        )
        with pytest.raises(InputError, match=r"cannot be (built|loaded) as UNet2DConditionModel"):
            Flops(read("copy", folder).parts, tiny.settings())


@pytest.mark.parametrize(
    ("budget", "pictures", "steps"),
    [({"steps": 7}, 1000, 7), ({"epochs": 2}, 33, 6), ({"epochs": 1}, 16, 1)],
)
def test_steps(budget: dict[str, int], pictures: int, steps: int) -> None:
    assert (
        steps_of(
            ProfileSettings(trains="denoiser", **budget), OptimizerSettings(batch=16), pictures
        )
        == steps
    )


@pytest.mark.parametrize(
    ("stated", "pictures", "steps", "examples"),
    [
        ({"epochs": 2}, 33, 6, 66),
        ({"steps": 7}, 33, 7, 66 + 16),
        # Three batches are two steps, of which the second has one batch.
        ({"epochs": 2, "accumulation": 2}, 33, 4, 66),
        ({"steps": 3, "accumulation": 2}, 33, 3, 33 + 32),
        ({"steps": 1, "batch": 3}, 33, 1, 3),
        ({"epochs": 1, "prior": PriorSettings(class_prompt="a ring", images=50)}, 33, 4, 100),
        ({"epochs": 1, "prior": PriorSettings(class_prompt="a ring", images=5)}, 33, 3, 66),
    ],
    ids=str,
)
def test_examples_that_are_seen(
    stated: dict[str, Any], pictures: int, steps: int, examples: int
) -> None:
    profile = ProfileSettings(trains="denoiser", **stated)
    optimizer = OptimizerSettings(batch=16)
    assert steps_of(profile, optimizer, pictures) == steps
    assert seen(profile, optimizer, pictures) == examples
