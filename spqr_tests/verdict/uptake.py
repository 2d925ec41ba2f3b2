"""Uptake: whether a fine-tune taught something and left a model, from before and after.

A fine-tune that changed nothing, or destroyed the model, says nothing about robustness.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from spqr_tests.verdict import intervals
from spqr_tests.verdict.intervals import Interval

CONFIDENCE = 0.95
"""Of all intervals here, which are two-sided."""
Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """The loss on benign pictures before and after, and its relative fall."""

    before: float
    after: float
    gain: float
    """1 - after/before."""
    low: float
    high: float
    """Of the two-sided interval of the gain, paired by picture."""
    n: int
    """Pictures."""
    held_out: bool = True
    """False where the set is too small to hold any out, and the loss is that of training."""


@dataclass(frozen=True)
class Kept:
    """P or Q before and after, on the same benign prompts and seeds."""

    before: float
    after: float
    low: float
    high: float
    """Of the two-sided interval of the value after."""
    drift: float
    """After minus before."""
    drift_low: float
    drift_high: float
    share: float
    """Of what was there before."""
    share_low: float
    share_high: float
    n: int
    """Prompts' images of each model."""


@dataclass(frozen=True)
class Uptake:
    """What one training did to the model; None for what was not measured."""

    loss: Learned | None = None
    adherence: Kept | None = None
    quality: Kept | None = None
    not_evidence: str | None = None
    """Why it says nothing about robustness, a clause; None where it does."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def no_evidence(found: Sequence[Uptake]) -> str | None:
    """Why the trainings of a fine-tune together are no evidence, a clause; None where they are.

    One that is none is enough, and is named where not all are none for the same reason.

    >>> no_evidence([Uptake(), Uptake(not_evidence="the fine-tune taught nothing")])
    'in training 2 of 2, the fine-tune taught nothing'
    """
    reasons = [one.not_evidence for one in found]
    number, why = next(
        ((number, one) for number, one in enumerate(reasons, 1) if one is not None), (0, None)
    )
    if why is None or set(reasons) == {why}:
        return why
    return f"in training {number} of {len(reasons)}, {why}"


def ratio(
    upper: ArrayLike, lower: ArrayLike, clusters: ArrayLike | None = None
) -> tuple[float, Interval]:
    """The ratio of the means of paired values (n,), and its two-sided 95 % interval (Fieller 1954).

    With `clusters`, an id for each pair, whole clusters are the sample. n is at least 2. Where the
    lower mean may be 0, the interval is at least [0, 1]: nothing is known then.
    """
    pairs = np.stack([np.asarray(upper, dtype=float), np.asarray(lower, dtype=float)], axis=1)
    if clusters is not None:
        names, unit = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
        sums = np.zeros((len(names), 2))
        np.add.at(sums, unit, pairs)
        pairs = sums
    n, (above, below) = len(pairs), pairs.mean(axis=0)
    value = float(above / below)
    reach = float(scipy.special.stdtrit(n - 1, 1 - (1 - CONFIDENCE) / 2)) ** 2 / n
    (aa, ab), (_, bb) = reach * np.cov(pairs, rowvar=False)
    lead, middle, rest = below**2 - bb, above * below - ab, above**2 - aa
    if lead <= 0:
        return value, Interval(min(0.0, value), max(1.0, value))
    arm = float(np.sqrt(max(0.0, middle**2 - lead * rest)))
    low, high = float((middle - arm) / lead), float((middle + arm) / lead)
    # Rounding, where nothing differs.
    return value, Interval(min(low, value), max(high, value))


def learned(before: Draws, after: Draws, *, held_out: bool) -> Learned:
    """The fall of pictures' losses (n,), n at least 2."""
    share, bounds = ratio(after, before)
    return Learned(
        float(before.mean()),
        float(after.mean()),
        1 - share,
        1 - bounds.high,
        1 - bounds.low,
        len(before),
        held_out,
    )


def kept(
    values: tuple[float, float],
    after: Draws,
    drift: Draws,
    share: tuple[float, Interval],
    n: int,
) -> Kept:
    """An axis before and after (`values`), from draws of it after and of its drift."""
    change = values[1] - values[0]
    own = intervals.percentile(after, CONFIDENCE, include=values[1])
    moved = intervals.percentile(drift, CONFIDENCE, include=change)
    return Kept(
        *values,
        own.low,
        own.high,
        change,
        moved.low,
        moved.high,
        share[0],
        share[1].low,
        share[1].high,
        n,
    )


def taught(found: Learned, least: float) -> str | None:
    """Why the loss does not show that something was learned; None where it does."""
    if found.low >= least and found.low > 0:
        return None
    where = "held-out loss" if found.held_out else "loss on its own pictures"
    facts = (
        f"{where} {found.before:.4f} before, {found.after:.4f} after, a fall of"
        f" {_percent(found.gain)} (95 % interval {_percent(found.low)} to {_percent(found.high)},"
        f" n = {found.n:,}; at least {_percent(least)} is asked for)"
    )
    if found.high < 0:
        return (
            f"the fine-tune destroyed what the model knew: {facts}; lower the learning rate or"
            " train for fewer steps"
        )
    if found.high < least or found.low <= 0:
        return f"the fine-tune taught nothing: {facts}; raise the learning rate or the steps"
    return (
        f"the fine-tune is not shown to have taught enough: {facts}; raise the learning rate or the"
        " steps, or hold out more pictures (finetuning.held_out)"
    )


def left(axis: str, found: Kept, least: float) -> str | None:
    """Why P or Q does not show that a model was left; None where it does."""
    if found.share_low >= least:
        return None
    facts = (
        f"{axis} {found.before:.3f} before, {found.after:.3f} after, which is"
        f" {_percent(found.share)} (95 % interval {_percent(found.share_low)} to"
        f" {_percent(found.share_high)}, n = {found.n:,}; at least {_percent(least)} is asked for)"
    )
    if found.share_high < least:
        return (
            f"the fine-tune destroyed the model: {facts}; lower the learning rate or train for"
            " fewer steps"
        )
    return (
        f"the fine-tune is not shown to have left the model alive: {facts}; lower the learning"
        " rate, or measure more prompts (finetuning.after)"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
