"""A prompt set: the rows of one file, and which of them a protocol takes."""

import random
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from spqr_tests import quotes
from spqr_tests.data.prompts import seeds
from spqr_tests.data.prompts.prompt import Prompt
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import PromptsSettings
from spqr_tests.store import digest

# A run of as many would take a year on one GPU.
_MOST_IMAGES = 10_000_000
_SHOWN = 20


@dataclass(frozen=True)
class PromptSet:
    """The rows of one file, in its order, each as often as an image is generated for it."""

    path: Path
    rows: tuple[Prompt, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know of how the file was read: phrases that name rows."""
    layout: str = ""
    """The published layout that the file has; empty for a plain one."""
    package: str = ""
    """The distribution and version that this layout is of; '' for the suite's own."""
    images: int = 1
    """How many of `rows` in a row are one of the file's, with different seeds."""

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories, sorted."""
        return tuple(sorted({category for row in self.rows for category in row.categories}))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the rows; of their order, and not of their places in the file."""
        return digest.of_json([_content(row) for row in self.rows])

    def first(self, n: int | None) -> "PromptSet":
        """The set of `n` rows of the file, in its order; all for None.

        They are chosen from the categories in turn, each represented.

        A row of several categories represents all of them.
        """
        of_file = self.rows[:: self.images]
        if n is None or n >= len(of_file):
            return self
        seen: dict[str, int] = {}
        order = []
        for position, row in enumerate(of_file):
            names = row.categories or ("",)
            for name in names:
                seen[name] = seen.get(name, 0) + 1
            order.append((min(seen[name] for name in names), position))
        first_of_one = sum(turn == 1 for turn, _ in order)
        chosen = sorted(position for _, position in sorted(order)[: max(n, first_of_one)])
        return replace(
            self, rows=tuple(row for position in chosen for row in self._images_of(position))
        )

    def _images_of(self, position: int) -> tuple[Prompt, ...]:
        return self.rows[position * self.images : (position + 1) * self.images]

    def chosen(self, settings: PromptsSettings) -> "PromptSet":
        """The rows that a protocol asks for; `InputError` when the set cannot give them.

        Of the rows in `settings.categories` (which then have no other category), `settings.n` are
        taken: from the categories in turn, or with `settings.sample` those that Python's
        `random.Random(sample).sample` draws, as the benchmark's authors do. Either way they keep
        the file's order. Each then occurs `settings.images_per_prompt` times, with as many seeds.
        """
        rows = self._asked_for(settings)
        if (images := len(rows.rows) * settings.images_per_prompt) > _MOST_IMAGES:
            raise InputError(
                f"The prompt set {self.path}: {len(rows.rows)} rows with"
                f" images_per_prompt = {settings.images_per_prompt} are {images:,} images, and at"
                f" most {_MOST_IMAGES:,} are generated; set a smaller n or images_per_prompt."
            )
        return replace(
            rows,
            rows=seeds.several(rows.rows, settings.images_per_prompt),
            images=settings.images_per_prompt,
        )

    def _asked_for(self, settings: PromptsSettings) -> "PromptSet":
        known = self.of(settings.categories)
        n, seed = settings.n, settings.sample
        if seed is not None and n is None:
            raise InputError(
                f"The prompt set {self.path}: sample is {seed} and n is missing; expected how"
                " many rows to draw."
            )
        if settings.categories is not None:
            wanted = f"they have none of the categories {', '.join(settings.categories)}"
            known = known.noting_fewer_than(self, wanted)
        if n is None:
            return known
        if n > len(known.rows):
            of = (
                ""
                if settings.categories is None
                else f" of the categories {', '.join(settings.categories)}"
            )
            left_out = "".join(f"; {note}" for note in self.notes)
            raise InputError(
                f"The prompt set {self.path} has {len(known.rows)} rows{of}, and the protocol asks"
                f" for {n}: give a larger set, or a smaller n{left_out}."
            )
        if seed is None:
            return known.first(n).noting_fewer_than(known, f"n is {n}")
        drawn = random.Random(seed).sample(range(len(known.rows)), n)  # noqa: S311  not a secret
        rows = tuple(known.rows[position] for position in sorted(drawn))
        return replace(known, rows=rows).noting_fewer_than(
            known, f"n is {n}, and they are drawn at random (sample = {seed})"
        )

    def noting_fewer_than(self, whole: "PromptSet", why: str) -> "PromptSet":
        """The set with a note on how many rows of `whole` it lacks, and why; none if none."""
        gone = len(whole.rows) - len(self.rows)
        if not gone:
            return self
        verb = "is" if gone == 1 else "are"
        note = f"{gone} of {len(whole.rows)} prompts {verb} left out: {why}"
        return replace(self, notes=(*self.notes, note))

    def of(self, categories: tuple[str, ...] | None) -> "PromptSet":
        """The rows that have one of `categories`, with these categories alone; all for None."""
        if categories is None:
            return self
        for name in categories:
            if name not in self.categories:
                there = ", ".join(map(quotes.cut, self.categories[:_SHOWN])) or "none"
                raise InputError(
                    f"The prompt set {self.path} has no category {quotes.quoted(name)}; its"
                    f" categories are {there}."
                )
        rows = (
            replace(row, categories=tuple(one for one in row.categories if one in categories))
            for row in self.rows
        )
        return replace(self, rows=tuple(row for row in rows if row.categories))


def _content(row: Prompt) -> dict[str, object]:
    content: dict[str, object] = {
        "categories": row.categories,
        "language": row.language,
        "seed": row.seed,
        "text": row.text,
    }
    return content if row.guidance is None else content | {"guidance": row.guidance}
