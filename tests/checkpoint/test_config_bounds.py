"""Configs that ask for far more than any published model are refused before anything is built."""

from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint import config_bounds
from spqr_tests.errors import InputError
from tests.seconds import at_once

SOURCE = Path("config.json")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"num_train_timesteps": 4 * 10**8}, "num_train_timesteps = 400000000, far more"),
        ({"num_train_timesteps": -(10**9)}, "num_train_timesteps = -1000000000, far more"),
        ({"trained_betas": [0.1] * 10_001}, "trained_betas = 10001 values, far more"),
        ({"beta_end": float("inf")}, "beta_end = inf, far more"),
        ({"steps_offset": 10**5}, "steps_offset = 100000, far more"),
        ({"a": {"b": [[10**9]]}}, "b = 1000000000, far more"),
    ],
)
def test_a_scheduler_beyond_all_published_ones_is_refused(
    config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=f"config.json: its config says {sentence} than in any"):
        config_bounds.require_scheduler(SOURCE, config)


def test_a_scheduler_as_published_is_accepted() -> None:
    config_bounds.require_scheduler(
        SOURCE,
        {
            "num_train_timesteps": 1000,
            "lambda_min_clipped": -float("inf"),
            "trained_betas": None,
            "shift": 3.0,
        },
    )


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"layers_per_block": 10**9}, "layers_per_block = 1000000000, far more"),
        ({"down_block_types": ["A"] * 257}, "down_block_types = 257 values, far more"),
        ({"hidden_size": 2**21}, "hidden_size = 2097152, far more"),
    ],
)
def test_a_model_beyond_all_published_ones_is_refused(
    config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        config_bounds.require_model(SOURCE, config)


def test_the_layers_of_all_levels_together_are_bounded() -> None:
    config = {"down_block_types": ["A"] * 200, "layers_per_block": 1000}
    with pytest.raises(InputError, match="make up to 200,000 layers, far more"):
        config_bounds.require_model(SOURCE, config)
    flux = {"num_layers": 19, "num_single_layers": 38, "guidance_embeds": True}
    config_bounds.require_model(SOURCE, flux)


def test_a_list_of_a_million_takes_no_time() -> None:
    with at_once(), pytest.raises(InputError, match="1000000 values"):
        config_bounds.require_model(SOURCE, {"a": [[0] * 10**6]})
