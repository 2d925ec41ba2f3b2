"""Contact sheets: pairs of images of one prompt and seed, as data that the page's script shows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any, Literal, NamedTuple

from spqr_tests.reports.html.thumbnails import Thumbnails
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.report import Report

BEFORE = "before fine-tuning"
_FIRST = 24
"""Pairs of the headline's fine-tune whose pictures come before all others'."""
_EVERY = 4
"""One pair in so many is one that no judge flags, so that a reader sees those too."""
_PREFIX, _SUFFIX = "v2/generations/", ".png"


class _Model(NamedTuple):
    """What generated an image: a variant's training, or the checkpoint with None in all places."""

    profile: str | None
    scenario: str | None
    training: int | None
    steps: int | None

    @property
    def label(self) -> str:
        """For people to read."""
        if self.profile is None:
            return BEFORE
        training = f", training {self.training}" if (self.training or 1) > 1 else ""
        step = "" if self.steps is None else f", at step {self.steps}"
        return f"{self.profile} x {self.scenario}{training}{step}"


class _Pair(NamedTuple):
    """Places in the lists of prompts and images; no second image without a fine-tune."""

    prompt: int
    first: int
    second: int | None


@dataclass
class _Sheet:
    label: str
    left: str
    right: str
    pairs: list[_Pair] = field(default_factory=list)


@dataclass
class Sheets:
    """All sheets of a page; `payload` is what its script reads."""

    rows: Sequence[ImageRow]
    report: Report
    _prompts: list[list[Any]] = field(default_factory=list)
    _images: list[list[Any]] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _flagged: list[bool] = field(default_factory=list)
    _sheets: list[_Sheet] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judges = [one.name for one in self.report.judges]
        self.categories = sorted({name for row in self.rows for name in row.categories})
        self._pixels = {row.picture: row.pixels_sha256 for row in self.rows}
        known: dict[tuple[str, int], int] = {}
        models: dict[_Model, dict[int, int]] = {}
        for row in self.rows:
            prompt = known.setdefault((row.set, row.row), len(known))
            if prompt == len(self._prompts):
                self._prompts.append(self._prompt(row))
            model = _Model(row.profile, row.scenario, row.training, row.steps)
            models.setdefault(model, {})[prompt] = self._image(row)
        own = models.pop(_Model(None, None, None, None), {})
        if own and not models:
            pairs = [_Pair(prompt, image, None) for prompt, image in own.items()]
            self._sheets.append(_Sheet("the checkpoint", BEFORE, "", pairs))
        score = self.report.score
        headline = score and (score.profile, score.scenario)
        # The headline first: it is what a reader is shown.
        for model, after in sorted(
            models.items(), key=lambda one: (one[0][:2] != headline, one[0].steps is not None)
        ):
            pairs = [_Pair(one, own[one], image) for one, image in after.items() if one in own]
            self._sheets.append(_Sheet(model.label, BEFORE, f"after {model.label}", pairs))
        self._compare()

    @property
    def pictures(self) -> list[str]:
        """The paths of all pictures on the sheets, below the store."""
        return list(self._places)

    def embed(self, thumbnails: Thumbnails) -> None:
        """Have the pictures that tell most put into the page, as far as there is room."""
        names = list(self._places)
        wanted = (
            names[image]
            for pair in self._by_weight()
            for image in (pair.first, pair.second)
            if image is not None
        )
        thumbnails.add(wanted, self._pixels)

    def payload(self, thumbnails: Thumbnails, base: str | None) -> dict[str, Any]:
        """The data of the page: `base` is the store's place as seen from the page."""
        return {
            "prompts": self._prompts,
            "images": self._images,
            "thumbnails": {self._places[path]: uri for path, uri in thumbnails.uris.items()},
            "gone": [self._places[path] for path in thumbnails.gone if path in self._places],
            "sheets": [
                {
                    "label": one.label,
                    "left": one.left,
                    "right": one.right,
                    "pairs": [list(pair) for pair in one.pairs],
                }
                for one in self._sheets
            ],
            "judges": self.judges,
            "categories": self.categories,
            "prefix": _PREFIX,
            "suffix": _SUFFIX,
            "base": base,
        }

    def _prompt(self, row: ImageRow) -> list[Any]:
        return [
            row.source or f"prompt {row.row + 1}",
            row.prompt,
            row.seed,
            [self.categories.index(name) for name in row.categories],
            row.language,
            int(row.set == "ood"),
        ]

    def _image(self, row: ImageRow) -> int:
        """The place of an image: its path, and of each judge that flags it what it saw most of."""
        said: list[list[Any]] = []
        for name, one in row.judges.items():
            if one.flagged and name in self.judges:
                top = max(one.reasons, key=lambda why: why.score, default=None)
                why = [] if top is None else [top.label, round(top.score, 3)]
                said.append([self.judges.index(name), *why])
        return self._place(row.picture, said, flagged=row.flagged)

    def _place(self, path: str, said: list[list[Any]], *, flagged: bool) -> int:
        place = self._places.setdefault(path, len(self._places))
        if place == len(self._images):
            key = path.removeprefix(_PREFIX).removesuffix(_SUFFIX)[3:]
            spelt = key if path == f"{_PREFIX}{key[:2]}/{key}{_SUFFIX}" else path
            self._images.append([spelt, int(flagged), said])
            self._flagged.append(flagged)
        return place

    def _compare(self) -> None:
        """A sheet for each reference: the images whose flag differs between two versions."""
        prompts = {
            image: one.prompt
            for sheet in self._sheets
            for one in sheet.pairs
            for image in (one.first, one.second)
            if image is not None
        }
        for kind, comparison in self.report.comparison.items():
            sheet = _Sheet(f"since the {kind}", "the earlier version", "this version")
            done: set[tuple[str, str]] = set()
            for change in comparison.measurements.values():
                for flips, was in ((change.newly_flagged, False), (change.no_longer_flagged, True)):
                    for flip in flips or ():
                        new = self._places.get(flip.new)
                        if new is None or new not in prompts or (flip.old, flip.new) in done:
                            continue
                        done.add((flip.old, flip.new))
                        old = self._place(flip.old, [], flagged=was)
                        sheet.pairs.append(_Pair(prompts[new], old, new))
            if sheet.pairs:
                self._sheets.append(sheet)

    def _by_weight(self) -> Iterator[_Pair]:
        """The pairs of all sheets, those first that a reader should see."""
        queues = [list(self._told(sheet)) for sheet in self._sheets]
        for queue in queues[:1]:
            yield from queue[:_FIRST]
        for turn in zip_longest(*queues):
            yield from (pair for pair in turn if pair is not None)

    def _told(self, sheet: _Sheet) -> Iterator[_Pair]:
        """The pairs of a sheet: newly flagged ones, then other flagged ones, some of neither."""
        told: dict[Literal["new", "other", "none"], list[_Pair]] = {
            "new": [],
            "other": [],
            "none": [],
        }
        for pair in sheet.pairs:
            before = self._flagged[pair.first]
            after = before if pair.second is None else self._flagged[pair.second]
            kind: Literal["new", "other", "none"] = (
                "none" if not (before or after) else "new" if after and not before else "other"
            )
            told[kind].append(pair)
        flagged = iter([*self._mixed(told["new"]), *self._mixed(told["other"])])
        harmless = iter(self._mixed(told["none"]))
        while True:
            some = [*islice(flagged, _EVERY - 1), *islice(harmless, 1)]
            if not some:
                return
            yield from some

    def _mixed(self, pairs: Iterable[_Pair]) -> list[_Pair]:
        """The categories in turn: sets are often sorted by them."""
        by_category: dict[tuple[int, ...], list[_Pair]] = {}
        for pair in pairs:
            by_category.setdefault(tuple(self._prompts[pair.prompt][3]), []).append(pair)
        return [one for turn in zip_longest(*by_category.values()) for one in turn if one]
