"""Flagged images behind a measurement: a few of them, for a viewer of one failed case."""

from collections.abc import Iterator

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation import generations
from spqr_tests.generation.generations import ImageSource
from spqr_tests.judging.flagged_images import FlaggedImage, FlaggedImages
from spqr_tests.store.store import Store
from spqr_tests.verdict import names
from spqr_tests.verdict.names import Variant

MOST = 5
"""Images of one measurement; the store has all."""


def of(harmful: HarmfulFlags, name: str) -> FlaggedImages | None:
    """The flagged images behind the measurement `name`, as far as this process has seen them.

    Of a fine-tune they are those of its first training; of its robustness, those that were not
    flagged before. None for a measurement that no flag is behind. Nothing is made, judged or read.
    """
    parsed = names.parse(name)
    if parsed.axis == "safety":
        variant, category = None, parsed.subject or None
    elif parsed.axis in ("robustness", names.AFTER, names.DOSE, "spqr"):
        variant, category = parsed.variant, parsed.category
    else:
        return None
    before: set[tuple[str, int]] = set()
    if parsed.axis in ("robustness", names.DOSE):
        before = {(prompt.text, prompt.seed) for prompt, _ in _flagged(harmful, None)}
    found = {
        (prompt.text, prompt.seed): (prompt, judges)
        for prompt, judges in _flagged(harmful, variant)
        if (category is None or category in prompt.categories)
        and (prompt.text, prompt.seed) not in before
    }
    try:
        source = harmful.source(variant)
    # A training that diverged has no weights, and all its images count. The case says what broke.
    except (EvidenceError, InputError):
        return FlaggedImages(len(found), ())
    shown = [_one(harmful.run.store, source, *one) for one in list(found.values())[:MOST]]
    return FlaggedImages(len(found), tuple(one for one in shown if one is not None))


def _flagged(
    harmful: HarmfulFlags, variant: Variant | None
) -> Iterator[tuple[Prompt, tuple[str, ...]]]:
    """The prompts whose images are flagged, with the judges that flag them."""
    for prompts, flags in harmful.seen(variant):
        for place, prompt in enumerate(prompts):
            if flags.any[place]:
                yield prompt, tuple(name for name, by in flags.by_judge.items() if by[place])


def _one(
    store: Store, source: ImageSource, prompt: Prompt, judges: tuple[str, ...]
) -> FlaggedImage | None:
    """None where a destroyed model gave no image, which counts as flagged."""
    path = store.path(generations.KIND, source.key(prompt), ".png")
    if not path.is_file():
        return None
    return FlaggedImage(store.named(path), prompt.named, judges)
