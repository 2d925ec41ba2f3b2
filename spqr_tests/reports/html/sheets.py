"""Contact sheets: pairs of images of one prompt and seed, as data that the page's script shows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from spqr_tests.reports.html import picking
from spqr_tests.reports.html.picking import Pair
from spqr_tests.reports.html.thumbnails import Thumbnails
from spqr_tests.reports.images import ImageRow
from spqr_tests.reports.report import Report

BEFORE = "before fine-tuning"
_PREFIX, _SUFFIX = "v2/generations/", ".png"


class _Model(NamedTuple):
    """What generated an image: a variant's training, or the checkpoint with None in all places."""

    profile: str | None
    scenario: str | None
    training: int | None
    steps: int | None

    @classmethod
    def of(cls, row: ImageRow) -> "_Model":
        return cls(row.profile, row.scenario, row.training, row.steps)

    @property
    def label(self) -> str:
        """For people to read."""
        if self.profile is None:
            return BEFORE
        training = f", training {self.training}" if (self.training or 1) > 1 else ""
        step = "" if self.steps is None else f", at step {self.steps}"
        return f"{self.profile} x {self.scenario}{training}{step}"


class _Sheet(NamedTuple):
    label: str
    left: str
    right: str
    pairs: list[Pair]


class Sheets:
    """All sheets of a page; `payload` is what its script reads."""

    def __init__(self, rows: Sequence[ImageRow], report: Report) -> None:
        self._judges = [one.name for one in report.judges]
        self._categories = sorted({name for row in rows for name in row.categories})
        self._pixels = {row.image: row.pixels_sha256 for row in rows}
        self._known: dict[tuple[str, int], int] = {}
        self._prompts: list[list[Any]] = []
        self._images: list[list[Any]] = []
        self._places: dict[str, int] = {}
        self._sheets = [*self._of_models(rows, report), *self._of_versions(rows, report)]

    @property
    def images(self) -> list[str]:
        """The paths below the store of all images on the sheets."""
        shown = {image for sheet in self._sheets for pair in sheet.pairs for image in pair[1:]}
        return [path for path, place in self._places.items() if place in shown]

    def embed(self, thumbnails: Thumbnails) -> None:
        """Have the images that tell most put into the page, as far as there is room."""
        names = list(self._places)
        told = picking.in_turn(
            [sheet.pairs for sheet in self._sheets],
            self._is_flagged,
            lambda prompt: tuple(self._prompts[prompt][3]),
        )
        wanted = (names[image] for pair in told for image in pair[1:] if image is not None)
        thumbnails.add(wanted, self._pixels)

    def payload(self, thumbnails: Thumbnails, base: str | None) -> dict[str, Any]:
        """The data of the page: `base` is the store's place as seen from the page."""
        return {
            "prompts": self._prompts,
            "images": self._images,
            "thumbnails": {self._places[path]: uri for path, uri in thumbnails.uris.items()},
            "gone": [self._places[path] for path in thumbnails.gone],
            "sheets": [one._asdict() for one in self._sheets],
            "judges": self._judges,
            "categories": self._categories,
            "prefix": _PREFIX,
            "suffix": _SUFFIX,
            "base": base,
        }

    def _of_models(self, rows: Sequence[ImageRow], report: Report) -> list[_Sheet]:
        """A sheet for each fine-tune, the headline's first; without any, the checkpoint's own."""
        models: dict[_Model, dict[int, int]] = {}
        for row in rows:
            prompt = self._known.setdefault((row.set, row.row), len(self._known))
            if prompt == len(self._prompts):
                self._prompts.append(self._prompt(row))
            models.setdefault(_Model.of(row), {})[prompt] = self._judged(row)
        own = models.pop(_Model(None, None, None, None), {})
        if not models:
            alone = [Pair(prompt, image, None) for prompt, image in own.items()]
            return [_Sheet("the checkpoint", BEFORE, "", alone)] if own else []
        headline = report.score and (report.score.profile, report.score.scenario)
        order = sorted(models, key=lambda one: (one[:2] != headline, one.steps is not None))
        return [
            _Sheet(
                model.label,
                BEFORE,
                f"after {model.label}",
                [Pair(one, own[one], image) for one, image in models[model].items() if one in own],
            )
            for model in order
        ]

    def _of_versions(self, rows: Sequence[ImageRow], report: Report) -> list[_Sheet]:
        """A sheet for each reference: the images whose flag differs between two versions."""
        of_image = {row.image: (row.set, row.row) for row in rows}
        sheets = []
        for kind, comparison in report.comparison.items():
            pairs: dict[Pair, None] = {}
            for change in comparison.measurements.values():
                for flips, was in ((change.newly_flagged, False), (change.no_longer_flagged, True)):
                    for flip in flips or ():
                        if flip.new in of_image:
                            old = self._place(flip.old, [], flagged=was)
                            prompt = self._known[of_image[flip.new]]
                            pairs[Pair(prompt, old, self._places[flip.new])] = None
            if pairs:
                label = f"since the {kind}"
                sheets.append(_Sheet(label, "the earlier version", "this version", list(pairs)))
        return sheets

    def _prompt(self, row: ImageRow) -> list[Any]:
        return [
            row.source or f"prompt {row.row + 1}",
            row.prompt,
            row.seed,
            [self._categories.index(name) for name in row.categories],
            row.language,
            int(row.set == "ood"),
        ]

    def _judged(self, row: ImageRow) -> int:
        """The place of an image, with what each judge that flags it saw most of."""
        said: list[list[Any]] = []
        for name, one in row.judges.items():
            if one.flagged and name in self._judges:
                top = max(one.reasons, key=lambda why: why.score, default=None)
                why = [] if top is None else [top.label, round(top.score, 3)]
                said.append([self._judges.index(name), *why])
        return self._place(row.image, said, flagged=row.flagged)

    def _place(self, path: str, said: list[list[Any]], *, flagged: bool) -> int:
        place = self._places.setdefault(path, len(self._places))
        if place == len(self._images):
            # Most of the page's size: of a path in the store, its key says the rest.
            key = path.removeprefix(_PREFIX).removesuffix(_SUFFIX)[3:]
            spelt = key if path == f"{_PREFIX}{key[:2]}/{key}{_SUFFIX}" else path
            self._images.append([spelt, int(flagged), said])
        return place

    def _is_flagged(self, image: int) -> bool:
        return bool(self._images[image][1])
