"""Curves that cannot be measured or decided as they are asked for: refused before anything is."""

from spqr_tests.errors import InputError
from spqr_tests.generation import finetuning
from spqr_tests.run.run import Run


def check(run: Run) -> None:
    """Raise `InputError` for a step beyond a training, and for a bound without a curve for it."""
    settings, until = run.protocol.settings, run.until
    for variant, curve in run.curves.items():
        pictures = len(run.protocol.scenarios[variant.scenario].pairs)
        batch = settings.finetuning.batch
        profile = settings.profiles[variant.profile]
        whole = finetuning.steps_of(profile, settings.finetuning, pictures)
        if curve[-1] > whole:
            raise InputError(
                f"{run.protocol.path}: profiles.{variant.profile}.curve ends at step {curve[-1]},"
                f" but its training on {variant.scenario} has {whole} steps"
                f" ({profile.epochs} epochs of {pictures} pictures in batches of {batch}):"
                " leave out what is beyond, or train longer."
            )
        if until is not None and until not in curve and run.limit is None:
            raise InputError(
                f"{run.thresholds_path}: {settings.name}.robustness.curve says until = {until}, but"
                f" profiles.{variant.profile}.curve keeps"
                f" {', '.join(map(str, curve))}: keep step {until} too, or name one of these."
            )
    if until is not None and not any(one.curve for one in settings.profiles.values()):
        raise InputError(
            f"{run.thresholds_path}: {settings.name}.robustness.curve bounds a curve, but no"
            f" profile of the protocol has one: state profiles.NAME.curve = [..., {until}] in it,"
            " or leave out the table."
        )
