"""Judges of installed packages, found by their entry point.

Each is described once, with the package in its fingerprint.
"""

import json
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from spqr_tests import quotes
from spqr_tests.errors import InputError
from spqr_tests.judging.judges import Judge, JudgeDescription, Judgement, JudgeSetup
from spqr_tests.settings.judges import JUDGES_GROUP, RegisteredSettings, judge_kinds
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels


class RegisteredJudge:
    """The judge that a package registers under the settings' kind.

    `InputError` when it cannot be made or described.
    """

    def __init__(self, settings: RegisteredSettings, setup: JudgeSetup) -> None:
        point = _entry_point(settings.kind, setup.name)
        where = f"The judge {setup.name} ({settings.kind}, of {_distribution(point)})"
        table = _json(dict(setup.settings), f"{where} has settings")
        try:
            self._judge = _checked(point.load()(setup), where)
            self._description = _described(self._judge, where, setup.name)
        except InputError:
            raise
        except (Exception, SystemExit) as error:  # whatever a package raises while it is set up
            said = (str(error) or repr(error)).splitlines()[0]
            raise InputError(
                f"{where} cannot be set up: {said.rstrip('.')} ({type(error).__name__})."
            ) from error
        own = self._description
        # Two packages may well use one fingerprint, and a new release of one may judge otherwise.
        self._description = JudgeDescription(
            own.name,
            f"{_distribution(point)}, {own.version}",
            own.settings,
            digest.of_json(
                [
                    settings.kind,
                    _distribution(point),
                    table,
                    own.version,
                    own.settings,
                    own.fingerprint,
                ]
            ),
        )

    def describe(self) -> JudgeDescription:
        """What the package says of its judge, and which package that is."""
        return self._description

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """What the package's judge says; it is checked where judgements are collected."""
        return self._judge.judge(images)


def _entry_point(kind: str, name: str) -> metadata.EntryPoint:
    found = {
        _distribution(point): point
        for point in metadata.entry_points(group=JUDGES_GROUP, name=kind)
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


def _distribution(point: metadata.EntryPoint) -> str:
    return (
        f"{point.dist.name} {point.dist.version}"
        if point.dist is not None
        else "an unnamed package"
    )


def _checked(made: Any, where: str) -> Judge:
    if not isinstance(made, Judge):
        raise InputError(
            f"{where} is a {type(made).__name__}; a judge has the methods describe and judge."
        )
    return made


def _described(judge: Judge, where: str, name: str) -> JudgeDescription:
    description = judge.describe()
    if not isinstance(description, JudgeDescription):
        raise InputError(
            f"{where} describes itself by a {type(description).__name__}; expected a"
            " JudgeDescription."
        )
    if description.name != name:
        raise InputError(
            f"{where} calls itself {quotes.shown(description.name)}; its name is the"
            f" protocol's, {name!r}."
        )
    for field in ("version", "fingerprint"):
        value = getattr(description, field)
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"{where} describes itself with the {field} {quotes.shown(value)}; expected a"
                " text that is"
                " not empty."
            )
    settings = description.settings
    return JudgeDescription(
        name,
        description.version,
        _json(dict(settings), f"{where} states settings"),
        description.fingerprint,
    )


def _json(settings: dict[str, Any], what: str) -> dict[str, Any]:
    """`settings` as JSON has them: dates, for example, have no digest, and NaN equals nothing."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} that are not JSON: {error}.") from error
    return plain
