"""images.jsonl: a row for each image of a harmful prompt, with what each judge says of it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from spqr_tests.reports.rows import Part
from spqr_tests.run.run import Run
from spqr_tests.store import digest, whole_files
from spqr_tests.verdict.names import Variant

SCHEMA: Literal["spqr-images/1"] = "spqr-images/1"
FILE = "images.jsonl"


class ImagesFile(Part):
    """The file of per-image results, by which a reader knows that it is this report's."""

    file: str
    """Its name, next to report.json."""
    rows: int
    """Images in it."""
    sha256: str
    """Of its bytes."""


class Reason(Part):
    """What a judge saw in an image, whether or not it flags it."""

    label: str
    """As the judge names it."""
    score: float
    """In [0, 1]."""


class Said(Part):
    """What one judge says of an image."""

    flagged: bool
    """By this judge."""
    reasons: list[Reason]
    """What it saw."""
    score: float | None = None
    """What it compares with its threshold; null where it compares nothing, and in older reports."""


class ImageRow(Part):
    """One image that was judged.

    An image that a destroyed model did not give has no row, although it counts as flagged.
    """

    schema_: Literal["spqr-images/1"] = Field(alias="schema")
    """Of this row."""
    set: Literal["harmful", "ood"]
    """The protocol's table of the prompt; `ood` is no part of a score."""
    row: int
    """The prompt's place in the run's set, from 0; the same before and after fine-tuning."""
    source: str
    """The prompt's row in its file."""
    prompt: str | None
    """Its text with `--spqr-show-prompts`, else null: it may be harmful."""
    prompt_sha256: str
    """Of the text in UTF-8."""
    seed: int
    """Of the image."""
    categories: list[str]
    """What the prompt is harmful by."""
    language: str
    """Of the prompt."""
    profile: str | None
    """How the model was fine-tuned, `adapter` for a ready one; null before fine-tuning."""
    scenario: str | None
    """What it was fine-tuned on, or the adapter's name; null before fine-tuning."""
    domain: str | None
    """Of what it was fine-tuned on; null before fine-tuning and for an adapter."""
    training: int | None
    """Which training of that fine-tune, from 1; null before fine-tuning and for an adapter."""
    steps: int | None
    """Steps of the training, for a point of a curve; null at its end."""
    flagged: bool
    """Whether any judge flags it."""
    judges: dict[str, Said]
    """By the judge's name."""
    image: str
    """The image's file, relative to the store."""
    pixels_sha256: str
    """Of the image's pixels."""


class Model(NamedTuple):
    """What generated an image."""

    ood: bool
    variant: Variant | None
    training: int
    """From 0."""
    steps: int | None


class Passed(NamedTuple):
    """One image as a test reported it."""

    image: str
    pixels: str
    judges: Mapping[str, Any]
    """By name the flag, the reasons as pairs of label and score, and the score or None."""


Found = dict[Model, dict[int, Passed]]
"""By model, and by the prompt's place in its set."""


def add(found: Found, text: str) -> None:
    """Add what a test passed on; what several tests saw is there once."""
    for one in json.loads(text):
        variant = None if one["variant"] is None else Variant(*one["variant"])
        rows = found.setdefault(Model(one["ood"], variant, one["training"], one["steps"]), {})
        for place, (row, (image, pixels)) in enumerate(
            zip(one["rows"], one["images"], strict=True)
        ):
            said = {name: judgements[place] for name, judgements in one["judges"].items()}
            rows[row] = Passed(image, pixels, said)


def write(run: Run, found: Found, folder: Path) -> ImagesFile | None:
    """Write the file whole, or remove an earlier run's where nothing was judged.

    `OSError` when it cannot be written.
    """
    path = folder / FILE
    if not found:
        path.unlink(missing_ok=True)
        return None
    sha, count = hashlib.sha256(), 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for row in rows(run, found):
            line = _line(row)
            sha.update(line)
            count += 1
            yield line

    whole_files.put_lines(path, lines())
    return ImagesFile(file=FILE, rows=count, sha256=sha.hexdigest())


def rows(run: Run, found: Found) -> Iterator[ImageRow]:
    """The rows: the checkpoint's images, then each variant's, in the order of the prompts."""
    order = {variant: place for place, variant in enumerate((None, *run.variants))}
    for model in sorted(
        found, key=lambda one: (one.ood, order[one.variant], one.training, one.steps or 0)
    ):
        for row, passed in sorted(found[model].items()):
            yield _row(run, model, row, passed)


def _row(run: Run, model: Model, row: int, passed: Passed) -> ImageRow:
    protocol, variant = run.protocol, model.variant
    prompts = protocol.ood if model.ood and protocol.ood is not None else protocol.harmful
    prompt = prompts.rows[row]
    trained = variant is not None and variant in run.trained
    scenarios = protocol.settings.scenarios
    return ImageRow.model_construct(
        schema_=SCHEMA,
        set="ood" if model.ood else "harmful",
        row=row,
        source=prompt.source,
        prompt=prompt.readable,
        prompt_sha256=digest.of_bytes(prompt.text.encode()),
        seed=prompt.seed,
        categories=list(prompt.categories),
        language=prompt.language,
        profile=variant and variant.profile,
        scenario=variant and variant.scenario,
        domain=scenarios[variant.scenario].domain if variant and trained else None,
        training=model.training + 1 if trained else None,
        steps=model.steps,
        flagged=any(flagged for flagged, *_ in passed.judges.values()),
        judges={
            name: Said.model_construct(
                flagged=flagged,
                reasons=[Reason.model_construct(label=label, score=share) for label, share in why],
                score=score,
            )
            for name, (flagged, why, score) in passed.judges.items()
        },
        image=passed.image,
        pixels_sha256=passed.pixels,
    )


def _line(row: ImageRow) -> bytes:
    text = json.dumps(row.model_dump(by_alias=True), ensure_ascii=False, allow_nan=False)
    # Half of a surrogate pair has no UTF-8; what Python writes for it here is JSON's escape too.
    return f"{text}\n".encode("utf-8", "backslashreplace")


def read(data: bytes) -> Iterable[ImageRow]:
    """The rows of a file's bytes; `ValueError` where a line is no row of this schema."""
    for line in data.splitlines():
        # A lone surrogate is text to nobody who reads further.
        text = json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")
        yield ImageRow.model_validate_json(text)
