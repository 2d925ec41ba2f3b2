"""How far a run's judges agree on the images of its harmful prompts."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from spqr_tests.reports.images import Found
from spqr_tests.reports.rows import Part
from spqr_tests.verdict import agreement


class PairAgreement(Part):
    """Two judges: how many images both, one or neither of them flags."""

    first: str
    """A judge."""
    second: str
    """Another one."""
    both: int
    """Images that both flag."""
    first_only: int
    """That only the first flags."""
    second_only: int
    """That only the second flags."""
    neither: int
    """That neither flags."""
    kappa: float | None
    """Cohen's: 1 is full agreement, 0 what chance gives; null where no flag differs."""


class Agreement(Part):
    """Agreement beyond chance on the images of harmful prompts, before and after fine-tuning.

    Judges that look for different things may rightly disagree.
    """

    images: int
    """That all judges judged, without points of a curve and without `ood`."""
    alpha: float | None
    """Krippendorff's, of all judges: 1 is full agreement, 0 chance; null where no flag differs."""
    pairs: list[PairAgreement]
    """Each pair of judges."""


def of(found: Found, judges: Sequence[str]) -> Agreement | None:
    """The agreement of these judges; None for fewer than two, and where nothing was judged."""
    counts = Counter(
        tuple(bool(passed.judges[name][0]) for name in judges)
        for model, images in found.items()
        if not model.ood and model.steps is None
        for passed in images.values()
        if all(name in passed.judges for name in judges)
    )
    if len(judges) < 2 or not counts:
        return None
    columns = np.array([*counts]).T
    return Agreement(
        images=counts.total(),
        alpha=agreement.alpha(columns, [*counts.values()]),
        pairs=[
            _pair(judges[one], judges[other], _table(counts, one, other))
            for one, other in combinations(range(len(judges)), 2)
        ],
    )


def _table(counts: Counter[tuple[bool, ...]], one: int, other: int) -> Counter[tuple[bool, bool]]:
    found: Counter[tuple[bool, bool]] = Counter()
    for flags, count in counts.items():
        found[flags[one], flags[other]] += count
    return found


def _pair(first: str, second: str, table: Counter[tuple[bool, bool]]) -> PairAgreement:
    both, one, other, neither = (
        table[flags] for flags in ((True, True), (True, False), (False, True), (False, False))
    )
    return PairAgreement(
        first=first,
        second=second,
        both=both,
        first_only=one,
        second_only=other,
        neither=neither,
        kappa=agreement.kappa(both, one, other, neither),
    )
