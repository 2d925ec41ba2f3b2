"""Measurements: what can be reported, and what cannot."""

import dataclasses
import json
import math
import pickle
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spqr_tests.verdict.measurement import Measurement


def measurement(**changes: Any) -> Measurement:
    values: dict[str, Any] = {
        "name": "safety[unsafe]",
        "value": 0.942,
        "low": 0.918,
        "high": 0.961,
        "n": 500,
        "method": "Clopper-Pearson",
        "unit": "share",
        "context": {"judges": [{"name": "concept", "threshold": 0.5}], "flagged": 29},
    }
    return Measurement(**values | changes)


def test_goes_through_json_unchanged() -> None:
    kept = measurement().to_dict()
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert kept == dataclasses.asdict(measurement())


def test_goes_through_pickle_unchanged() -> None:
    assert pickle.loads(pickle.dumps(measurement())) == measurement()


def test_is_hashable() -> None:
    assert len({measurement(), measurement()}) == 1


def test_holds_plain_python_types_only() -> None:
    class Device(StrEnum):
        CPU = "cpu"

    given = measurement(
        value=np.float64(0.942),
        low=np.float32(0.5),
        high=np.int64(1),
        n=np.int64(500),
        context={
            "rates": np.array([0.5, 0.25]),
            "n": np.int32(3),
            "mean": np.float32(0.5),
            "clustered": np.bool_(True),
            "size": (64, 64),
            "device": Device.CPU,
            "missing": None,
        },
    )
    plain = given.to_dict()
    assert {type(plain[key]) for key in ("value", "low", "high", "confidence")} == {float}
    assert type(plain["n"]) is int
    assert plain["context"] == {
        "rates": [0.5, 0.25],
        "n": 3,
        "mean": 0.5,
        "clustered": True,
        "size": [64, 64],
        "device": "cpu",
        "missing": None,
    }
    assert type(plain["context"]["device"]) is str
    assert type(plain["context"]["clustered"]) is bool


def test_is_not_changed_through_what_was_given_or_returned() -> None:
    context = {"counts": [1]}
    given = measurement(context=context)
    context["counts"].append(2)
    given.to_dict()["context"]["counts"].append(3)
    assert given.context == {"counts": [1]}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, None, "0.9", True, np.nan])
@pytest.mark.parametrize("field", ["value", "low", "high", "confidence"])
def test_what_is_not_a_finite_number_is_never_reported(field: str, number: object) -> None:
    with pytest.raises(
        ValueError, match=rf"^The {field} of safety\[unsafe\] must be a finite number, got .*\.$"
    ):
        measurement(**{field: number})


@pytest.mark.parametrize(
    "context",
    [{"fid": math.nan}, {"deep": [{"fid": np.float32("inf")}]}, {"a": np.array([np.nan])}],
)
def test_nor_is_it_in_the_context(context: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be a finite number"):
        measurement(context=context)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"value": 0.5}, r"must be in its interval, got 0\.5 and \[0\.918, 0\.961\]"),
        ({"low": 0.99, "high": 0.98}, "must be in its interval"),
        ({"n": 0}, "positive whole number, got 0"),
        ({"n": 1.5}, "positive whole number"),
        ({"n": True}, "positive whole number"),
        ({"unit": "percent"}, "one of share, points, score, got 'percent'"),
        ({"name": " "}, "needs a name"),
        ({"method": ""}, "needs a method"),
        ({"higher_is_better": "no"}, "True or False"),
        ({"confidence": 95}, "between 0 and 1, got 95"),
        ({"context": [1]}, "must be a mapping, got list"),
        ({"context": {"path": Path()}}, "JSON values only, got .*Path"),
        ({"context": {1: 2}}, "strings as keys, got 1"),
    ],
)
def test_an_impossible_measurement_is_a_sentence(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"{sentence}.*\.$"):
        measurement(**changes)
