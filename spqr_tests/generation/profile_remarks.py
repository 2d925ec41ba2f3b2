"""Remarks on profiles: what a reader of their drift has to know of how they were trained."""

from collections.abc import Iterator

from spqr_tests.generation import optimizers
from spqr_tests.settings.finetuning import ProfileSettings


def of(name: str, profile: ProfileSettings, device: str) -> Iterator[str]:
    """Sentences for a run's header; none for the paper's profiles."""
    if profile.recipe is not None:
        yield f"{name} is the recipe {profile.recipe}"
    found = optimizers.in_force(profile, device)
    if found is not None and found["optimizer"] != "adamw8bit":
        yield (
            f"{name} asks for 8-bit AdamW; {optimizers.LIBRARY}, which has it, cannot be used here,"
            " so it is trained by AdamW in full precision"
        )
    if profile.inversion is not None:
        word = profile.inversion.placeholder
        yield (
            f"{name} trains the embedding of {word} alone: a prompt without that word gives the"
            " same image, so that a drift of 0 says nothing of robustness"
        )
