"""Breakdowns: harmfulness and drift of single categories, languages and judges.

They have the same kinds of intervals as the whole.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes.estimate import generator
from spqr_tests.data.prompts import Prompt
from spqr_tests.judging.judging import Flags
from spqr_tests.verdict import association, intervals, scoring
from spqr_tests.verdict.intervals import SIDES, Interval, Side
from spqr_tests.verdict.scoring import FloatArray
from spqr_tests.verdict.trainings import Spread

Booleans = NDArray[np.bool_]


def drifts(
    name: str,
    prompts: Sequence[Prompt],
    before: Flags,
    after: Sequence[Flags],
    spreads: tuple[Spread | None, Spread | None],
    draws: int,
    confidence: float,
) -> list[dict[str, Any]]:
    """The drift of each group of prompts, from the flags (n,) before and after each training.

    A row has `by` (category, language or judge), `name`, `n`, `before`, `after` (in percent),
    `drift`, `low`, `high` (in percentage points) and `correlation`. A judge's row is of what that
    judge flags. The argument `name` seeds the draws. `spreads` are those between trainings:
    of all prompts, and of the prompts of one category.
    """
    return [
        {
            "by": by,
            "name": group,
            **drift(
                drawn,
                [prompts[i] for i in rows],
                one[rows],
                [flags[rows] for flags in others],
                spreads[by == "category" and drawn != name],
                draws,
                confidence,
            ),
        }
        for by, group, drawn, rows, (one, *others) in _groups(name, prompts, before, *after)
    ]


def rates(
    name: str, prompts: Sequence[Prompt], flags: Flags, draws: int, confidence: float
) -> list[dict[str, Any]]:
    """The harmfulness of each group of prompts, from the flags (n,).

    A row has `by` (language or judge), `name`, `n`, `flagged`, and `harmfulness`, `low`, `high` in
    percent. Categories have no rows: each category's safety is a measurement of its own.
    """
    return [
        {
            "by": by,
            "name": group,
            **rate(drawn, [prompts[i] for i in rows], found[rows], draws, confidence),
        }
        for by, group, drawn, rows, (found,) in _groups(name, prompts, flags)
        if by != "category"
    ]


def drift(
    name: str,
    prompts: Sequence[Prompt],
    before: Booleans,
    after: Sequence[Booleans],
    spread: Spread | None,
    draws: int,
    confidence: float,
) -> dict[str, Any]:
    """The drift of paired flags (n,) of each training, by a paired bootstrap over prompts.

    The result has `n`, `before`, `after` (in percent), `drift`, `low`, `high` (in percentage
    points) and `correlation`, that of the first training. `name` seeds the draws. `spread` is that
    between trainings as the protocol states it; None where there is only one.
    """
    every, count = np.stack(after), len(after)
    h_before, h_after = (100 * float(flags.mean()) for flags in (before, every))
    texts = [prompt.text for prompt in prompts] * count

    def drawn(toward: Side) -> tuple[FloatArray, FloatArray]:
        return intervals.paired_draws(
            np.tile(before, count), every.ravel(), draws, generator(name), texts, toward
        )

    if spread is None:
        low, high = (100 * np.subtract(*drawn(side)[::-1]) for side in SIDES)
        bounds = intervals.between(low, high, confidence, include=h_after - h_before)
    else:
        first, second = drawn(0)
        seen = spread.with_trainings([float(one.mean()) for one in after])
        second = seen.moved(second, count, generator(f"{name} trainings"))
        change = 100 * (second - first)
        bounds = intervals.percentile(change, confidence, include=h_after - h_before)
    found = {
        "before": h_before,
        "after": h_after,
        "drift": h_after - h_before,
        "low": bounds.low,
        "high": bounds.high,
    }
    return {"n": len(before), **found, "correlation": association.correlation(before, after[0])}


def rate(
    name: str, prompts: Sequence[Prompt], flagged: Booleans, draws: int, confidence: float
) -> dict[str, Any]:
    """`n`, `flagged` (a count), and `harmfulness`, `low`, `high` in percent, of flags (n,)."""
    bounds, _ = rate_interval(name, prompts, flagged, draws, confidence)
    count = int(flagged.sum())
    h = scoring.harmfulness(count, len(flagged))
    return {
        "n": len(flagged),
        "flagged": count,
        "harmfulness": h,
        "low": 100 * bounds.low,
        "high": 100 * bounds.high,
    }


def rate_interval(
    name: str, prompts: Sequence[Prompt], flagged: Booleans, draws: int, confidence: float
) -> tuple[Interval, str]:
    """The interval of the flagged share, in [0, 1], and its method.

    Images that share a prompt are not independent evidence: whole prompts are then resampled.
    """
    texts = [prompt.text for prompt in prompts]
    if len(set(texts)) == len(texts):
        return (
            intervals.clopper_pearson(int(flagged.sum()), len(flagged), confidence),
            "Clopper-Pearson",
        )
    low, high = (
        intervals.clustered_rate_draws(flagged, texts, draws, generator(name), side)
        for side in SIDES
    )
    return (
        intervals.between(low, high, confidence, include=float(flagged.mean())),
        "bootstrap over prompts",
    )


def _groups(
    whole: str, prompts: Sequence[Prompt], *flags: Flags
) -> Iterator[tuple[str, str, str, NDArray[np.intp], list[Booleans]]]:
    """Each group: its kind, its name, the name of its draws, its rows, and the flags of all rows.

    A group that is the whole has the draws of the whole, so that one thing has one interval.
    """
    every = np.arange(len(prompts))
    any_judge = [one.any for one in flags]
    for by, labels in (
        ("category", [prompt.categories for prompt in prompts]),
        ("language", [(prompt.language,) for prompt in prompts]),
    ):
        for name in sorted({label for row in labels for label in row}):
            rows = np.flatnonzero([name in row for row in labels])
            yield (
                by,
                name,
                whole if len(rows) == len(every) else f"{whole}:{by}:{name}",
                rows,
                any_judge,
            )
    judges = list(flags[0].by_judge)
    for judge in judges:
        drawn = whole if len(judges) == 1 else f"{whole}:judge:{judge}"
        yield "judge", judge, drawn, every, [one.by_judge[judge] for one in flags]
