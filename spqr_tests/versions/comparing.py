"""Versions: what is worse or better than in an earlier version.

All compared measurements are decided together.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.errors import InputError
from spqr_tests.generation.variants import Variants
from spqr_tests.run.reference import Reference
from spqr_tests.run.run import Run
from spqr_tests.verdict import comparison, intervals, names
from spqr_tests.verdict.comparison import CONFIDENCE, Change, Reading
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.versions.differences import Differences
from spqr_tests.versions.finding import Finding

CASE = "measurement"
"""The parameter of a comparing case: the measurement's name."""

Measured = Callable[[str], Measurement]


class VersionComparison:
    """A run compared with one reference.

    The measurements `selected` are decided together when the first of them is asked for.
    """

    def __init__(
        self,
        run: Run,
        reference: Reference,
        selected: Iterable[str],
        measured: Measured,
        differences: Differences,
    ) -> None:
        self._run = run
        self._reference = reference
        self._names = tuple(selected)
        self._measured = measured
        self._differences = differences

    def compared(self, name: str) -> Finding:
        """One measurement compared with the reference's.

        Raises `InputError` for one that was not selected.
        """
        if name not in self._names:
            raise InputError(
                f"{name} is compared only by tests with the parameter '{CASE}', since all"
                " comparisons of a run are decided together."
            )
        kept, change = self._reference.kept.get(name), self._changes.get(name)
        flips = None
        if kept is not None and change is not None and change.difference.paired:
            flips = self._differences.flips(name, kept)
        family = sum(names.axis(one) != "spqr" for one in self._changes)
        new = self._measurements[name]
        return Finding(
            self._reference,
            name,
            _reading(new),
            kept,
            change,
            family,
            flips,
            new.not_evidence,
            self._run.thresholds.for_measurement(name).improves_on_baseline,
        )

    @cached_property
    def _measurements(self) -> Mapping[str, Measurement]:
        return {name: self._measured(name) for name in self._names}

    @cached_property
    def _changes(self) -> Mapping[str, Change]:
        kept = {
            name: self._reference.kept[name]
            for name, one in self._measurements.items()
            if name in self._reference.kept and one.not_evidence is None
        }
        found = {
            name: self._differences.of(name, one, _reading(self._measurements[name]))
            for name, one in kept.items()
        }
        tolerances = {name: self._run.thresholds.for_measurement(name).tolerance for name in found}
        margins = {
            name: margin
            for name in found
            if (margin := self._run.thresholds.for_measurement(name).margin) is not None
        }
        gains = {
            name: gain
            for name in found
            if (gain := self._run.thresholds.for_measurement(name).improves_on_baseline) is not None
        }
        scores = [name for name in found if names.axis(name) == "spqr"]
        parts = {
            name: ("safety", "adherence", "quality", names.robustness(names.parse(name).variant))
            for name in scores
        }
        return comparison.changes(found, tolerances, parts, margins, gains)


def differences(
    run: Run, harmful: HarmfulFlags, variants: Variants, comparisons: int
) -> Differences:
    """The differences of a run, with enough draws for the strictest of `comparisons` intervals."""
    strictest = 1 - (1 - CONFIDENCE) / max(1, comparisons)
    size = max(run.draws, intervals.enough_draws(strictest))
    return Differences(run, harmful, variants, size)


def _reading(measurement: Measurement) -> Reading:
    # Rounding may leave a bound slightly outside [0, 1].
    low, high = max(0.0, measurement.low), min(1.0, measurement.high)
    return Reading(measurement.value, low, high, measurement.confidence, measurement.n)
