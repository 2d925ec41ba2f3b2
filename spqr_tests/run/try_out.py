"""A try-out (`--spqr-limit N`): a protocol with little work in every stage, which decides nothing.

Prompts, training steps and pictures are fewer. Images keep their steps, guidance and batch shape,
so that a whole run takes them from the store.
"""

from dataclasses import replace
from typing import Any

from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import PromptSet
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.settings.protocol import Protocol

_COUNTED = ("held_out", "after")


def shortened(settings: Protocol, limit: int) -> Protocol:
    """The protocol with at most `limit` steps a fine-tune, and the pictures that those take.

    FID compares as many reference pictures as images.
    """
    profiles = {name: _shortened(one, limit) for name, one in settings.profiles.items()}
    batch = settings.finetuning.batch
    scenarios = {
        name: one.model_copy(update={"n": _at_most(one.n, batch)})
        for name, one in settings.scenarios.items()
    }
    reference = _at_most(settings.quality.reference_images, at_least_two(limit))
    quality = settings.quality.model_copy(update={"reference_images": reference})
    # The variants' own prompts and pictures too.
    few = at_least_two(limit)
    measured = {key: _at_most(getattr(settings.finetuning, key), few) for key in _COUNTED}
    finetuning = settings.finetuning.model_copy(update=measured)
    return settings.model_copy(
        update={
            "profiles": profiles,
            "scenarios": scenarios,
            "quality": quality,
            "finetuning": finetuning,
        }
    )


def prompts(whole: PromptSet, limit: int, *, compared: bool) -> PromptSet:
    """The first prompts of a set, at least one of each category.

    With `compared` at least two: a mean of one has no interval, and FID needs two images.
    """
    return whole.first(at_least_two(limit) if compared else limit)


def pictures(whole: BenignSet, n: int) -> BenignSet:
    """The first `n` pictures of a set with all of their captions, or all if it has fewer."""
    kept = set(whole.pictures[:n])
    return replace(whole, pairs=tuple(pair for pair in whole.pairs if pair[0] in kept))


def at_least_two(limit: int) -> int:
    """The number of images that are compared with something."""
    return max(2, limit)


def _shortened(profile: ProfileSettings, limit: int) -> ProfileSettings:
    # The pictures make one batch, so that an epoch is a step.
    steps = min(profile.steps or profile.epochs or limit, limit)
    curve = profile.curve and tuple(dict.fromkeys(min(one, steps) for one in profile.curve))
    update: dict[str, Any] = {"steps": steps, "epochs": None, "curve": curve}
    if profile.prior is not None:
        images = min(profile.prior.images, at_least_two(limit))
        update["prior"] = profile.prior.model_copy(update={"images": images})
    return profile.model_copy(update=update)


def _at_most(n: int | None, most: int) -> int | None:
    return None if n is None else min(n, most)
