"""The lengths of one training: its own, and the steps at which the variant is kept on the way.

What a training left after s steps is what a training of s steps leaves: no step depends on those
that follow it. So it is kept under the key of such a training, and either finds the other.
"""

from dataclasses import dataclass
from typing import Any

from spqr_tests.settings.finetuning import ProfileSettings


@dataclass(frozen=True)
class Lengths:
    """The steps at which a variant is kept, and the recipes of trainings of those lengths."""

    whole_profile: ProfileSettings
    whole: int
    """The steps of the whole training."""
    whole_recipe: dict[str, Any]
    """Everything that decides what the whole training learns."""

    @property
    def steps(self) -> tuple[int, ...]:
        """All of them, in order; the last is the whole training."""
        return tuple(sorted({*(self.whole_profile.curve or ()), self.whole}))

    def recipe(self, steps: int | None = None) -> dict[str, Any]:
        """The recipe of a training of so many steps; None for the whole one."""
        if steps in (None, self.whole):
            return self.whole_recipe
        shorter = {**self.whole_recipe["profile"], "epochs": None, "steps": steps}
        return {**self.whole_recipe, "profile": shorter}

    def profile(self, steps: int) -> ProfileSettings:
        """The profile with a budget of so many steps."""
        return self.whole_profile.model_copy(update={"epochs": None, "steps": steps})
