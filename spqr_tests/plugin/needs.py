"""What the selected tests need, computed from the fixtures that they ask for."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from spqr_tests.plugin.cases import is_case
from spqr_tests.run.needs import Needs
from spqr_tests.run.run import Run
from spqr_tests.verdict import names
from spqr_tests.verdict.names import Variant

# By axis: the fixtures that a comparison of versions asks for only once it runs.
_COMPARED = {
    "safety": {"spqr_flags"},
    "adherence": {"spqr_adherence"},
    "quality": {"spqr_quality"},
    "robustness": {"spqr_flags"},
    names.AFTER: {"spqr_flags"},
    names.DOSE: {"spqr_flags"},
    "spqr": {"spqr_flags", "spqr_adherence", "spqr_quality"},
}


def of(run: Run, items: Iterable[pytest.Item]) -> Needs:
    """What these tests need; a test that can ask for any variant needs them all."""
    fixtures: set[str] = set()
    variants: set[Variant] = set()
    curves: set[Variant] = set()
    cases: set[str] = set()
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        values: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if is_case(item.path) and "measurement" in values:
            parsed = names.parse(values["measurement"])
            fixtures |= _COMPARED[parsed.axis]
            tuned = parsed.axis in ("robustness", names.AFTER, "spqr")
            variants |= {parsed.variant} if tuned else set()
            curves |= {parsed.variant} if parsed.axis == names.DOSE else set()
            continue
        fixtures |= asked
        if is_case(item.path):
            cases.add(_measurement(item.path.stem.removeprefix("test_"), values))
        one = {"profile", "scenario"} <= values.keys()
        for fixture, found, every in (
            ("spqr_robustness", variants, run.variants),
            ("spqr_dose", curves, run.curves),
        ):
            if fixture in asked:
                found.update([Variant(values["profile"], values["scenario"])] if one else every)
    return Needs(
        harmful="spqr_flags" in fixtures,
        adherence="spqr_adherence" in fixtures,
        quality="spqr_quality" in fixtures,
        variants=tuple(variant for variant in run.variants if variant in variants),
        curves=tuple(variant for variant in run.curves if variant in curves),
        cases=tuple(name for name in run.expected if name in cases),
    )


def _measurement(axis: str, values: Mapping[str, Any]) -> str:
    """The name of what a packaged case measures with these parameters."""
    category: str | None = values.get("category")
    subject = category or ""
    if "profile" in values:
        subject = names.cell(Variant(values["profile"], values["scenario"]), category)
    return str(names.Name("spqr" if axis == "score" else axis, subject))
