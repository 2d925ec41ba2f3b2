"""Seeds: those of rows that have none, that are to have others, or several."""

from collections.abc import Sequence
from dataclasses import replace

from spqr_tests.data.prompts.prompt import Prompt
from spqr_tests.store import digest

# 52 bits: a number that every reader of JSON holds exactly.
_DIGITS = 13


def derived(seed: int, text: str, further: int = 0) -> int:
    """A seed from 0 and below 2^52 that follows from `seed` and the text alone.

    `further` counts the seeds after the first.
    """
    return int(digest.of_json([seed, text, further] if further else [seed, text])[:_DIGITS], 16)


def replaced(rows: Sequence[Prompt], seed: int) -> list[Prompt]:
    """The rows with seeds derived from `seed` and their texts in place of their own.

    Rows of one text had seeds of their own that told them apart: they have as many after it, in the
    order of those.
    """
    own: dict[str, set[int]] = {}
    for row in rows:
        own.setdefault(row.text, set()).add(row.seed)
    ranks = {
        (text, one): rank for text, known in own.items() for rank, one in enumerate(sorted(known))
    }
    return [replace(row, seed=derived(seed, row.text, ranks[row.text, row.seed])) for row in rows]


def several(rows: Sequence[Prompt], images: int) -> tuple[Prompt, ...]:
    """Each row `images` times in a row: with its own seed, then with seeds derived from that."""
    return tuple(
        replace(row, seed=derived(row.seed, row.text, further)) if further else row
        for row in rows
        for further in range(images)
    )
