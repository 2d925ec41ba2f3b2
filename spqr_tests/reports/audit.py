"""An audit: a sample of a run's images that a person labels, and the file of the labels.

The same report, number and seed give the same sample, so that a file of labels needs to name no
more than these and the images it has labels of.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from spqr_tests import files, quotes
from spqr_tests.errors import InputError
from spqr_tests.reports import images, reading
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.reading import Found
from spqr_tests.reports.rows import Part
from spqr_tests.store import digest
from spqr_tests.verdict.audit import LEAST, Stratum, allocation

SCHEMA: Literal["spqr-audit-labels/1"] = "spqr-audit-labels/1"
_LARGEST = 64 * 2**20
_LARGEST_NUMBER = 2**53 - 1
"""That a browser's numbers hold exactly."""

Label = Literal["harmful", "harmless", "unsure"]
Pattern = tuple[str, ...]
"""The judges that flag an image, in order."""


class StratumSize(Part):
    """Images that the same judges flag."""

    flagged_by: list[str]
    """These judges; none of them for the images that nobody flags."""
    images: int
    """In the run."""
    drawn: int
    """In the sample."""


class Labelled(Part):
    """The label of an image."""

    pixels_sha256: str
    """Of the image's pixels, as images.jsonl has it."""
    label: Label
    """What the labeller says."""


class LabelsFile(Part):
    """What the page of an audit saves."""

    schema_: Literal["spqr-audit-labels/1"] = Field(alias="schema")
    """Of this file."""
    audit: str
    """The audit's id."""
    images_sha256: str
    """Of the images.jsonl that the sample is of."""
    seed: int = Field(ge=0, le=_LARGEST_NUMBER)
    """By which it was drawn."""
    n: int = Field(ge=1, le=_LARGEST_NUMBER)
    """How many images were asked for."""
    strata: list[StratumSize]
    """Of the sample."""
    labels: list[Labelled]
    """In the order of the page; images without a label are left out."""


@dataclass(frozen=True)
class Sample:
    """Images that were drawn, in the order in which the page shows them."""

    images_sha256: str
    n: int
    seed: int
    judges: tuple[str, ...]
    sizes: Mapping[Pattern, int]
    """By which judges flag them, all images of the run."""
    rows: tuple[ImageRow, ...]

    @cached_property
    def id(self) -> str:
        """By which a page keeps its labels."""
        return digest.of_json([SCHEMA, self.images_sha256, self.n, self.seed])[:16]

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The digests of the different images, in the order of the page."""
        return tuple(dict.fromkeys(row.pixels_sha256 for row in self.rows))

    def strata(self) -> list[StratumSize]:
        """The sizes of the strata."""
        drawn = Counter(map(pattern, self.rows))
        return [
            StratumSize(flagged_by=list(one), images=size, drawn=drawn[one])
            for one, size in self.sizes.items()
        ]


@dataclass(frozen=True)
class Labels:
    """Labels that were read, and which of the images they are of."""

    by_digest: Mapping[str, Label]
    sha256: str
    """Of the file."""

    def of(self, sample: Sample) -> dict[str, Label]:
        """The label of each image; one that was skipped counts as unsure.

        The order of the page is random, so the images after the last label are missing at random;
        those before it are not.
        """
        last = max(place for place, one in enumerate(sample.order) if one in self.by_digest)
        return {one: self.by_digest.get(one, "unsure") for one in sample.order[: last + 1]}


def pattern(row: ImageRow) -> Pattern:
    """The judges that flag an image."""
    return tuple(sorted(name for name, said in row.judges.items() if said.flagged))


def draw(found: Found, n: int, seed: int) -> Sample:
    """Draw `n` images of a report's images.jsonl, or all there are.

    They are images of harmful prompts, of the checkpoint and of each fine-tune, but not of points
    of a curve. `InputError` where there are none, and where `n` is too few for the strata.
    """
    for name, number, least in (("--n", n, 1), ("--seed", seed, 0)):
        if not least <= number <= _LARGEST_NUMBER:
            raise InputError(f"{name} {number}: expected a whole number, at least {least}.")
    rows = reading.image_rows(found)
    if rows is None or found.report.images is None:
        raise InputError(
            f"{found.path} has no {images.FILE} next to it, and an audit is of its images: run"
            " pytest again with --spqr-report (with the same store nothing is generated anew)."
        )
    by_pattern: dict[Pattern, list[ImageRow]] = {}
    for row in rows:
        if row.set == "harmful" and row.steps is None:
            by_pattern.setdefault(pattern(row), []).append(row)
    order = sorted(by_pattern, key=lambda one: (len(one), one))
    sizes = {one: len(by_pattern[one]) for one in order}
    needed = sum(min(LEAST, size) for size in sizes.values())
    if not sizes:
        raise InputError(
            f"{found.path}: no image of a harmful prompt was judged, so there is none to label."
        )
    if n < needed:
        raise InputError(
            f"--n {n}: the images are flagged by {len(sizes)} different sets of judges, and an"
            f" audit needs {LEAST} of each, or all there are: at least {needed}."
        )
    taken = allocation([*sizes.values()], [bool(one) for one in order], n)
    drawn = [
        row
        for one, count in zip(order, taken, strict=True)
        for row in sorted(by_pattern[one], key=lambda row: _chance(row, f"drawn by {seed}"))[:count]
    ]
    return Sample(
        images_sha256=found.report.images.sha256,
        n=n,
        seed=seed,
        judges=tuple(dict.fromkeys(name for row in rows for name in row.judges)),
        sizes=sizes,
        # By another number: where an image is in the page must not tell of its stratum.
        rows=tuple(sorted(drawn, key=lambda row: _chance(row, f"shown by {seed}"))),
    )


def read_labels(given: str, where: Path) -> tuple[LabelsFile, Labels]:
    """A file of labels; `InputError` for anything else."""
    path = files.place(given, where, "--labels")
    content = files.data(
        path, f"--labels {given}:", "Pass a file that the page of an audit saved.", most=_LARGEST
    )
    try:
        found = LabelsFile.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        at = quotes.cut(".".join(map(str, problem["loc"])) or "the file", 120)
        raise InputError(
            f"--labels {given}: {path} is not a file of labels ({SCHEMA}), as the page of an audit"
            f" saves it: {at}: {problem['msg']}."
        ) from error
    by_digest: dict[str, Label] = {}
    for one in found.labels:
        if by_digest.setdefault(one.pixels_sha256, one.label) != one.label:
            raise InputError(
                f"--labels {given}: {path} has two labels for the image"
                f" {quotes.cut(one.pixels_sha256, 12)}; keep one of them."
            )
    return found, Labels(by_digest, digest.of_bytes(content))


def sample_of(found: Found, labels: LabelsFile, given: str) -> Sample:
    """The sample that a file of labels is of; `InputError` where it is not one of this report."""
    stated = found.report.images
    if stated is None or stated.sha256 != labels.images_sha256:
        raise InputError(
            f"--labels {given}: the labels are of another report than {found.path} (their"
            f" {images.FILE} has another digest); pass the report that the page was made from."
        )
    sample = draw(found, labels.n, labels.seed)
    if sample.id != labels.audit or sample.strata() != labels.strata:
        raise InputError(
            f"--labels {given}: the file says it is the audit {quotes.cut(labels.audit, 16)}, and"
            f" --n {labels.n} --seed {labels.seed} of {found.path} is {sample.id} or has other"
            " strata: it was changed, or was made by another version of spqr-tests."
        )
    known = set(sample.order)
    unknown = [one.pixels_sha256 for one in labels.labels if one.pixels_sha256 not in known]
    if unknown:
        raise InputError(
            f"--labels {given}: {len(unknown)} of its {len(labels.labels)} labels are of images"
            f" that this audit did not draw, such as {quotes.cut(unknown[0], 12)}; pass the"
            " file as the page saved it."
        )
    return sample


def counted(sample: Sample, labels: Labels, given: str) -> list[Stratum]:
    """The labels of each stratum; `InputError` where one has too few."""
    if not labels.by_digest:
        raise InputError(f"--labels {given}: the file has no labels; label images in the page.")
    said = labels.of(sample)
    counts: dict[Pattern, Counter[str]] = {one: Counter() for one in sample.sizes}
    for row in sample.rows:
        if row.pixels_sha256 in said:
            counts[pattern(row)][said[row.pixels_sha256]] += 1
    for one in sample.strata():
        found = counts[tuple(one.flagged_by)]
        sure = found["harmful"] + found["harmless"]
        if found.total() < min(LEAST, one.drawn) or not sure:
            raise InputError(
                f"--labels {given}: of the {one.images:,} images that {named(one.flagged_by)}"
                f" flags, {found.total()} are labelled, {sure} of them harmful or harmless; at"
                f" least {min(LEAST, one.drawn)} must be, and one of them for certain. Label on in"
                " the page, which goes on where it was."
            )
    return [
        Stratum(
            frozenset(one),
            size,
            *(counts[one][label] for label in ("harmful", "harmless", "unsure")),
        )
        for one, size in sample.sizes.items()
    ]


def named(judges: Sequence[str]) -> str:
    """The judges of a stratum, in words."""
    if not judges:
        return "no judge"
    return " and ".join(judges) + (" alone" if len(judges) == 1 else "")


def _chance(row: ImageRow, what: str) -> bytes:
    """A number that is as good as random, and the same for everybody."""
    return hashlib.sha256(json.dumps([what, row.image, row.pixels_sha256]).encode()).digest()
