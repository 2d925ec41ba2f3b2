"""Judges of installed packages, found by their entry point.

Each is described once, with the package in its fingerprint. It runs in a process of its own: one
that exits, hangs or takes all memory breaks the run by name.
"""

import json
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from spqr_tests import quotes
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.child.process import ChildProcess, Limits, LostError
from spqr_tests.judging.child.serving import as_json
from spqr_tests.judging.judges import JudgeDescription, Judgement, JudgeSetup, UnjudgedError
from spqr_tests.packages import distribution
from spqr_tests.settings.judges import JUDGES_GROUP, RegisteredSettings, judge_kinds
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels


class RaisedError(Exception):
    """What a package's judge raised, as its process told it."""

    def __init__(self, told: str, place: str) -> None:
        super().__init__(told)
        self.place = place
        """File, line and function."""

    def __repr__(self) -> str:
        return str(self)


class _Described(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    version: str
    settings: dict[str, Any]
    fingerprint: str
    computed_with: dict[str, Any]
    least: float


class _Judged(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    flagged: bool
    reasons: list[tuple[str, float]]
    score: float | None


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    judgements: list[_Judged | None]


class RegisteredJudge:
    """The judge that a package registers under the settings' kind.

    `InputError` when it cannot be made or described.
    """

    def __init__(self, settings: RegisteredSettings, setup: JudgeSetup) -> None:
        self._point = _entry_point(settings.kind, setup.name)
        self._settings, self._setup = settings, setup
        package = distribution(self._point)
        self._where = f"The judge {setup.name} ({settings.kind}, of {package})"
        self._table = as_json(dict(setup.settings), f"{self._where} has settings")
        self._late: LostError | None = None
        self._process: ChildProcess | None
        self._process, own = self._started()
        self._own = own
        # Two packages may well use one fingerprint, and a new release of one may judge otherwise.
        self._description = JudgeDescription(
            setup.name,
            f"{package}, {own.version}",
            own.settings,
            digest.of_json(
                [settings.kind, package, self._table, own.version, own.settings, own.fingerprint]
            ),
            own.computed_with,
            own.least,
        )

    def describe(self) -> JudgeDescription:
        """What the package says of its judge, and which package that is."""
        return self._description

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """What the package's judge says; it is checked where judgements are collected.

        `EvidenceError` where its process gives no answer. One that ended is started again when it
        is asked again; one that was late is not, as that would take as long.
        """
        per_image = self._settings.seconds_per_image
        limits = Limits(
            per_image * len(images),
            f"seconds_per_image = {per_image:g}",
            self._settings.memory_gib,
        )
        try:
            if self._late is not None:
                raise self._late
            answer = self._running().ask({}, limits, images)
        except LostError as error:
            self._late = error if error.late else None
            self._process = None
            raise EvidenceError(
                f"{error}; it was judging {len(images)} images for {distribution(self._point)}"
            ) from error
        if "judgements" in answer:
            return _judgements(answer)
        raise _told(answer, len(images))

    def _running(self) -> ChildProcess:
        if self._process is None:
            try:
                self._process, own = self._started()
            except InputError as error:
                raise EvidenceError(f"it was started again, and then: {error}") from error
            if own != self._own:
                self._process = None
                raise EvidenceError("it was started again, and then described itself otherwise")
        return self._process

    def _started(self) -> tuple[ChildProcess, _Described]:
        """A new process that has made the judge, and what it says of it."""
        point, setup = self._point, self._setup
        process = ChildProcess(setup.locate)
        request = {
            "point": [point.name, point.value, point.group],
            "name": setup.name,
            "settings": self._table,
            "device": setup.device,
            "where": self._where,
        }
        seconds = self._settings.setup_seconds
        limits = Limits(seconds, "setup_seconds", self._settings.memory_gib)
        try:
            answer = process.ask(request, limits)
        except LostError as error:
            raise InputError(f"{self._where} cannot be set up: {error}.") from error
        if "raised" not in answer:
            try:
                return process, _Described.model_validate(answer)
            except ValidationError as error:
                process.end()
                raise InputError(
                    f"{self._where} cannot be set up: it does not say what it is."
                ) from error
        process.end()
        if "input" in answer:
            raise InputError(str(answer["input"]))
        said = str(answer.get("said", answer["raised"])).rstrip(".")
        raise InputError(f"{self._where} cannot be set up: {said} ({answer.get('type')}).")


def _judgements(answer: dict[str, Any]) -> list[Judgement]:
    try:
        found = _Answer.model_validate_json(json.dumps(answer)).judgements
    except ValidationError as error:
        raise EvidenceError("its process answered with something else") from error
    # None is no judgement, and is counted as that.
    made: list[Any] = [
        one and Judgement(one.flagged, tuple(one.reasons), one.score) for one in found
    ]
    return made


def _told(answer: dict[str, Any], asked: int) -> Exception:
    """What the package's judge raised, as an error of the same meaning here."""
    position = answer.get("position")
    if isinstance(position, int) and 0 <= position < asked:
        return UnjudgedError(position, str(answer.get("reason")))
    if "evidence" in answer:
        return EvidenceError(str(answer["evidence"]))
    if "raised" in answer:
        return RaisedError(str(answer["raised"]), str(answer.get("place", "")))
    return EvidenceError("its process answered with something else")


def _entry_point(kind: str, name: str) -> metadata.EntryPoint:
    found = {
        distribution(point): point for point in metadata.entry_points(group=JUDGES_GROUP, name=kind)
    }
    if not found:
        raise InputError(
            f"The judge {name} is of the kind {quotes.shown(kind)}, which is not known; known are"
            f" {', '.join(judge_kinds())}."
        )
    if len(found) > 1:
        raise InputError(
            f"The judge {name} is of the kind {quotes.shown(kind)}, which"
            f" {' and '.join(sorted(found))} both"
            " register; uninstall one."
        )
    return next(iter(found.values()))
