"""Cards that a plan can be for."""

import pytest

from spqr_tests.planning import devices
from spqr_tests.settings.finetuning import ProfileSettings


@pytest.mark.parametrize("card", devices.DEVICES.values(), ids=devices.DEVICES)
def test_a_card_is_slower_in_full_precision(card: devices.Device) -> None:
    assert card.rate("float32") < card.rate("float16") == card.rate("bfloat16") < card.half


@pytest.mark.parametrize(
    ("forward", "named"),
    [
        (0.803e12, "1.5"),  # Stable Diffusion 1.5 at 512 pixels
        (0.3e12, "1.5"),
        (6.9e12, "XL"),
        (20e12, "XL"),
        (74.7e12, "FLUX"),
    ],
)
def test_the_nearest_model_is_taken(forward: float, named: str) -> None:
    found = devices.reached(forward)
    assert named in found.model
    assert 0 < found.generate < 1


def test_the_image_a_second_of_stable_diffusion_1() -> None:
    """Measured on an H100 in micro-batches of 8 and 20 steps: .167 seconds for 34.6 TFLOP."""
    found = devices.reached(0.803e12)
    seconds = 34.6e12 / (devices.DEVICES["h100"].rate("float16") * found.generate)
    assert seconds == pytest.approx(0.1666, rel=0.05)


def test_a_model_far_smaller_than_any_measured_is_said_to_be_slower() -> None:
    small = devices.reached(5e9)
    assert devices.because(small, 5e9).endswith("reaches far less")
    assert "less" not in devices.because(small, 0.8e12)


def test_every_kind_of_training_has_a_share() -> None:
    found = devices.reached(0.8e12)
    kinds = ProfileSettings.model_fields["trains"].annotation.__args__
    shares = [
        devices.training_share(found, ProfileSettings.model_construct(trains=kind))
        for kind in kinds
    ]
    assert all(0 < share < 1 for share in shares)
