"""The packaged recipes as profiles, for tests: with the numbers that users have to state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.settings import recipes
from spqr_tests.settings.finetuning import ProfileSettings

STATED: Mapping[str, Mapping[str, Any]] = {
    "dreambooth": {"instance_prompt": "a new ring", "prior": {"class_prompt": "a ring"}},
    "textual-inversion": {"inversion": {"initializer": "ring"}},
}
"""What a protocol has to state beside the recipe's name."""


def profile(name: str, **changed: Any) -> ProfileSettings:
    """A recipe's profile with these keys instead."""
    found = recipes.read(name, "profiles.some", Path("some.toml"), PACKAGED.recipes)
    for key, value in STATED.get(name, {}).items():
        old = found.get(key)
        found[key] = {**old, **value} if isinstance(old, dict) else value
    for budget in ("steps", "epochs"):
        if budget in changed:
            found = {key: one for key, one in found.items() if key not in {"steps", "epochs"}}
    return ProfileSettings(**found | {"recipe": name} | changed)
