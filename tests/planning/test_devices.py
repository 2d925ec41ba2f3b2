"""Cards that a plan can be for."""

import pytest

from benchmarks import numbers
from benchmarks.card.page import Card, Rate
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


MEASURED = [
    rate
    for rate in numbers.read(Card, numbers.DOCS / "performance-card.json").rates
    if "1.5" in rate.model
]


@pytest.mark.parametrize("rate", MEASURED, ids=lambda rate: rate.what)
def test_times_are_those_that_were_measured(rate: Rate) -> None:
    found = devices.reached(0.803e12)
    trained = {"lite": "lora", "moderate": "cross-attention", "standard": "denoiser"}
    [share] = [
        found.train[kind] for name, kind in trained.items() if f"training {name}," in rate.what
    ] or [found.generate]
    seconds = rate.flop / (devices.DEVICES["h200"].rate("float16") * share)
    assert seconds == pytest.approx(rate.ours, rel=0.05)


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
