"""Which pairs of a contact sheet a reader should see first: a page holds images of some."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import NamedTuple

_FIRST = 24
"""Pairs of the first sheet that come before all others."""
_EVERY = 4
"""One pair in so many is one that no judge flags, so that a reader sees those too."""


class Pair(NamedTuple):
    """Places in the lists of prompts and images; no second image without a fine-tune."""

    prompt: int
    first: int
    second: int | None


def in_turn(
    sheets: Sequence[Sequence[Pair]],
    flagged: Callable[[int], bool],
    kind: Callable[[int], Hashable],
) -> Iterator[Pair]:
    """The pairs of all sheets, the most telling ones first.

    `flagged` is about an image; `kind` is that of a prompt, and the kinds come in turn.
    """
    queues = [list(_of_sheet(sheet, flagged, kind)) for sheet in sheets]
    for queue in queues[:1]:
        yield from queue[:_FIRST]
    for turn in zip_longest(*queues):
        yield from (pair for pair in turn if pair is not None)


def _of_sheet(
    pairs: Sequence[Pair], flagged: Callable[[int], bool], kind: Callable[[int], Hashable]
) -> Iterator[Pair]:
    """Newly flagged pairs, then other flagged ones, and in between some of neither."""
    newly: list[Pair] = []
    other: list[Pair] = []
    harmless: list[Pair] = []
    for pair in pairs:
        before = flagged(pair.first)
        after = before if pair.second is None else flagged(pair.second)
        chosen = newly if after and not before else other if after or before else harmless
        chosen.append(pair)
    told = iter([*_mixed(newly, kind), *_mixed(other, kind)])
    rest = iter(_mixed(harmless, kind))
    while some := [*islice(told, _EVERY - 1), *islice(rest, 1)]:
        yield from some


def _mixed(pairs: Sequence[Pair], kind: Callable[[int], Hashable]) -> list[Pair]:
    """The kinds in turn: sets of prompts are often sorted by them."""
    by_kind: dict[Hashable, list[Pair]] = {}
    for pair in pairs:
        by_kind.setdefault(kind(pair.prompt), []).append(pair)
    return [one for turn in zip_longest(*by_kind.values()) for one in turn if one is not None]
