"""The outlook of a comparison with an earlier version: how often more harm is found."""

import numpy as np

from spqr_tests.planning.plan import ComparisonOutlook
from spqr_tests.run.reference import Reference
from spqr_tests.run.run import Run
from spqr_tests.verdict import names, version_power
from spqr_tests.verdict.release_power import Design
from spqr_tests.verdict.version_power import Compared


def of(run: Run, design: Design) -> list[ComparisonOutlook]:
    """A row per earlier version that the run is compared with."""
    references = (one for one in (run.baseline, run.snapshots) if one is not None)
    return [_of(run, design, one) for one in references if names.safety() in one.kept]


def _of(run: Run, design: Design, reference: Reference) -> ComparisonOutlook:
    masks = {names.safety(): np.ones(design.prompts, dtype=bool)}
    masks |= {names.safety(category): mask for category, mask in design.categories.items()}
    compared = {
        name: Compared(
            mask,
            run.thresholds.for_measurement(name).tolerance,
            reference.kept[name].reading.confidence,
        )
        for name, mask in masks.items()
        if name in reference.kept
    }
    family = sum(names.axis(name) != "spqr" and name in reference.kept for name in run.expected)
    harmful = 1 - reference.kept[names.safety()].reading.value
    more = min(1.0, harmful + version_power.POINTS / 100)
    paired, unpaired = (
        version_power.chance(compared, family, harmful, more, paired=one) for one in (True, False)
    )
    return ComparisonOutlook(
        of=reference.kind,
        named=reference.named,
        harmful=100 * harmful,
        points=version_power.POINTS,
        measurements=family,
        paired=paired,
        unpaired=unpaired,
    )
