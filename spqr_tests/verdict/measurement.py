"""A measured number with everything that a decision about it needs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any

from spqr_tests.verdict.intervals import Interval

UNITS = ("share", "points", "score")
"""share: a part of 1; points: percentage points; score: any other scale, such as FID or SPQR."""


@dataclass(frozen=True)
class Adjusted:
    """The wider interval that decides whether a member of a family of measurements fails."""

    low: float
    high: float
    confidence: float
    """The two-sided confidence of this interval, in (0, 1)."""
    family: int
    """The number of measurements in the family."""
    method: str
    """The name of the adjustment: Holm or Bonferroni."""


@dataclass(frozen=True)
class Measurement:
    """A value, its interval and its provenance; ValueError if they cannot be reported.

    Numbers may be numpy scalars and are kept as plain Python numbers. In the example, 29 of 500
    images were flagged.

    >>> m = Measurement(
    ...     "safety", 0.942, 0.918, 0.961, n=500, method="Clopper-Pearson", unit="share"
    ... )
    >>> m.value, m.n
    (0.942, 500)
    """

    name: str
    """Such as `safety`, or with a subject: `safety[unsafe]`, `robustness[standard-general]`."""
    value: float
    low: float
    """Lower end of the two-sided interval, at most `value`."""
    high: float
    """Upper end of the two-sided interval, at least `value`."""
    n: int
    """The number of images in the sample, above 0; for a drift, of pairs of images."""
    method: str
    """How the interval was made."""
    unit: str
    """One of `UNITS`."""
    higher_is_better: bool = True
    confidence: float = 0.95
    """Two-sided confidence of the interval, in (0, 1)."""
    context: dict[str, Any] = field(default_factory=dict, hash=False)
    """Provenance in JSON's types, such as judges and their versions, protocol hash and counts."""
    adjusted: Adjusted | None = None
    """For a member of a family, the interval that has to miss the threshold for a fail."""
    prompts: int | None = None
    """The number of prompts that the images are of; None where that does not matter."""
    trainings: int | None = None
    """The number of trainings of a fine-tune; None for a number that no training made."""
    not_evidence: str | None = None
    """Why the number decides nothing, whatever its interval says, as a clause; None where it does.
    """
    raw: "Measurement | None" = None
    """The metric from which an axis is computed, in its own unit: harmfulness, drift or FID."""

    def __post_init__(self) -> None:
        for text in ("name", "method"):
            if not isinstance(getattr(self, text), str) or not getattr(self, text).strip():
                raise ValueError(f"A measurement needs a {text}, got {getattr(self, text)!r}.")
        for number in ("value", "low", "high", "confidence"):
            self._set(number, _finite(getattr(self, number), f"The {number} of {self.name}"))
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"The value of {self.name} must be in its interval, got {self.value} and"
                f" [{self.low}, {self.high}]."
            )
        if not 0 < self.confidence < 1:
            raise ValueError(
                f"The confidence of {self.name} must be between 0 and 1, got {self.confidence}."
            )
        if not isinstance(self.n, Integral) or isinstance(self.n, bool) or self.n <= 0:
            raise ValueError(
                f"The n of {self.name} must be a positive whole number, got {self.n!r}."
            )
        self._set("n", int(self.n))
        if self.unit not in UNITS:
            raise ValueError(
                f"The unit of {self.name} must be one of {', '.join(UNITS)}, got {self.unit!r}."
            )
        if not isinstance(self.higher_is_better, bool):
            raise ValueError(
                f"higher_is_better of {self.name} must be True or False, got"
                f" {self.higher_is_better!r}."
            )
        if not isinstance(self.context, Mapping):
            raise ValueError(
                f"The context of {self.name} must be a mapping, got {type(self.context).__name__}."
            )
        self._set("context", _plain(self.context, f"The context of {self.name}"))

    @property
    def distinct(self) -> float | None:
        """The share of the images that differ from all before them, where it is below 1."""
        share = self.context.get("distinct")
        return float(share) if share is not None and share < 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain Python values that `json.dumps(..., allow_nan=False)` accepts."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {
            "context": _plain(self.context, f"The context of {self.name}"),
            "adjusted": self.adjusted and asdict(self.adjusted),
            "raw": self.raw and self.raw.to_dict(),
        }

    def through(
        self,
        name: str,
        function: Callable[[float], float],
        unit: str = "share",
        context: Mapping[str, Any] | None = None,
    ) -> "Measurement":
        """The axis `name`: a monotone function of this measurement, which becomes its raw metric.

        >>> raw = Measurement(
        ...     "harmfulness",
        ...     6,
        ...     4,
        ...     9,
        ...     n=500,
        ...     method="bootstrap",
        ...     unit="points",
        ...     higher_is_better=False,
        ... )
        >>> safety = raw.through("safety", lambda points: 1 - points / 100)
        >>> safety.value, safety.low, safety.high, safety.raw == raw
        (0.94, 0.91, 0.96, True)
        """
        bounds, strict = Interval(self.low, self.high).through(function), self.adjusted
        if strict is not None:
            wider = Interval(strict.low, strict.high).through(function)
            strict = replace(strict, low=wider.low, high=wider.high)
        return replace(
            self,
            name=name,
            value=function(self.value),
            low=bounds.low,
            high=bounds.high,
            unit=unit,
            higher_is_better=True,
            context=dict(context or {}),
            adjusted=strict,
            raw=self,
        )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _finite(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(
            f"{what} must be a finite number, got {value!r}; other numbers are never reported."
        )
    return float(value)


def _plain(value: object, what: str) -> Any:
    """A copy of `value` in JSON's types; ValueError for other types and non-finite numbers."""
    # numpy's booleans and arrays match none of the cases below.
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)  # a StrEnum's member becomes its value
        case Integral():
            return int(value)
        case Real():
            return _finite(value, what)
        case Mapping():
            return {_key(key, what): _plain(item, what) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, what) for item in value]
    raise ValueError(f"{what} must hold JSON values only, got {type(value).__name__}.")


def _key(key: object, what: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{what} must have strings as keys, got {key!r}.")
    return key
