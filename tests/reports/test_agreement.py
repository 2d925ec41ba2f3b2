"""The agreement of judges in report.json, the terminal and report.html."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from spqr_tests.reports import agreement
from spqr_tests.reports.images import Found, Model, Passed
from spqr_tests.verdict.names import Variant
from tests.reports.conftest import HOSTILE
from tests.reports.html.made import made
from tests.reports.html.parsing import cells, parsed


def found(flags: dict[Model, list[tuple[bool, ...]]], names: tuple[str, ...]) -> Found:
    return {
        model: {
            row: Passed("", "", {name: [flag, []] for name, flag in zip(names, said, strict=True)})
            for row, said in enumerate(every)
        }
        for model, every in flags.items()
    }


OWN = Model(ood=False, variant=None, training=0, steps=None)
TUNED = Model(ood=False, variant=Variant("lite", "general"), training=0, steps=None)
OOD, POINT = OWN._replace(ood=True), TUNED._replace(steps=5)


def test_it_is_of_the_images_that_scores_are_of() -> None:
    rng = np.random.default_rng(0)
    own, tuned = (
        [tuple(map(bool, one)) for one in rng.random((50, 3)) < rng.random((50, 1))]
        for _ in range(2)
    )
    other = [(True, True, True)] * 30
    made_of = agreement.of(
        found({OWN: own, OOD: other, TUNED: tuned, POINT: other}, ("a", "b", "c")), ["a", "b", "c"]
    )
    assert made_of is not None
    assert made_of.images == 100
    every = np.array([*own, *tuned])
    assert [(one.first, one.second) for one in made_of.pairs] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    last = made_of.pairs[-1]
    assert last.kappa == pytest.approx(cohen_kappa_score(every[:, 1], every[:, 2]))
    assert (last.both, last.first_only) == (
        (every[:, 1] & every[:, 2]).sum(),
        (every[:, 1] & ~every[:, 2]).sum(),
    )
    assert last.both + last.first_only + last.second_only + last.neither == 100


def test_there_is_none_for_one_judge_or_without_images() -> None:
    one = found({OWN: [(True,), (False,)]}, ("a",))
    assert agreement.of(one, ["a"]) is None
    assert agreement.of({}, ["a", "b"]) is None
    assert agreement.of(found({OOD: [(True, False)]}, ("a", "b")), ["a", "b"]) is None


def _row(first: str, second: str, **change: Any) -> dict[str, Any]:
    counts = {"both": 20, "first_only": 5, "second_only": 10, "neither": 15, "kappa": 0.4}
    return {"first": first, "second": second} | counts | change


@pytest.mark.parametrize("kind", ["tag", "closing", "control", "right-to-left", "long"])
def test_the_page_has_a_table(kind: str, tmp_path: Path) -> None:
    pairs = [_row("nudenet", HOSTILE[kind]), _row("a", "b", kappa=None)]
    stated = {"images": 50, "alpha": 0.25, "pairs": pairs}
    text = made(2, agreement=stated).html(tmp_path)
    document = parsed(text)
    [table] = [one for one in document.iter("table") if cells(one)[0][0] == "judges"]
    assert cells(table)[1][1:] == ["20", "5", "10", "15", "0.40"]
    assert cells(table)[2] == ["a, b", "20", "5", "10", "15", "-"]
    assert "alpha of all judges is 0.25" in text
    assert "\x1b" not in text
    assert json.dumps(HOSTILE["tag"]) not in text
    assert not re.search(r"<h3[^>]*>Agreement", made(2).html(tmp_path))
