"""Builds report.json from a run and what its tests reported."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Self

from spqr_tests.reports import agreement, comparison, judge_thresholds
from spqr_tests.reports.agreement import Agreement
from spqr_tests.reports.curves import Curve
from spqr_tests.reports.judge_thresholds import JudgeThresholds
from spqr_tests.reports.ledger import Ledger
from spqr_tests.reports.report import (
    SCHEMA,
    Axes,
    Axis,
    CutPrompts,
    EarlierLook,
    Environment,
    Model,
    ProtocolName,
    Report,
    Scope,
    Score,
    Spent,
    ThresholdsFile,
)
from spqr_tests.reports.rows import (
    AdapterStatement,
    Case,
    Category,
    FineTuneGate,
    JudgeStatement,
    RobustnessCell,
)
from spqr_tests.run.run import Run
from spqr_tests.store.cost import STAGES
from spqr_tests.verdict import names
from spqr_tests.verdict.decisions import Outcome
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.release import SinceEarlier, conclude


@dataclass(frozen=True)
class ByJudge:
    """What a report says of its judges, from all images of a session; it takes a while."""

    agreement: Agreement | None
    thresholds: list[JudgeThresholds]

    @classmethod
    def of(cls, run: Run, ledger: Ledger) -> Self:
        """Of a session whose tests have all reported."""
        judges = [judge.describe() for judge in run.protocol.judges]
        return cls(
            agreement.of(ledger.images, [one.name for one in judges]),
            judge_thresholds.of(ledger.images, judges, run.protocol.harmful.rows, run.variants),
        )


def build(
    run: Run, ledger: Ledger, by_judge: ByJudge, lost: Sequence[str], seconds: float, *, ended: int
) -> Report:
    """The report of a session that lasted `seconds` and that pytest ended with the code `ended`.

    The tests `lost` never reported their end. The decision is 'pass' only for a complete, unlimited
    run in which every case passed.
    """
    missing = [name for name in run.expected if name not in ledger.decisions]
    # Where the store is says nothing elsewhere.
    place = f"{run.store.folder}/"
    problems = (
        {test: reason.replace(place, "") for test, reason in sorted(ledger.broken.items())}
        | dict.fromkeys(ledger.undecided, "the case ended without a decision")
        | dict.fromkeys(lost, "the test never reported its end")
    )
    # The user's own tests may add decisions, which come after the cases'.
    order = {name: place for place, name in enumerate(run.expected)}
    cases = [
        _case(name, ledger.decisions[name])
        for name in sorted(ledger.decisions, key=lambda name: order.get(name, len(order)))
    ]
    outcomes = {case.name: case.outcome for case in cases}
    compared = comparison.build(run, ledger.comparisons)
    uncompared = sum(len(one.missing) for one in compared.values())
    update = "nothing" if run.snapshots is None else run.snapshots.update
    since = SinceEarlier(
        # With --snapshot-update, a measurement may be worse than the snapshot that it replaces.
        regressed=comparison.having(
            compared, "regressed", but="snapshots" if update == "changed" else None
        ),
        unkept=comparison.having(compared, "new", but="baseline") if update == "nothing" else [],
        undecided=comparison.having(compared, "inconclusive", but=None),
        unimproved=comparison.having(compared, "unimproved", but=None),
        uncompared=uncompared,
        updating=update != "nothing",
    )
    deciding = [case for case in cases if case.severity == "fail"]
    release = conclude(
        {case.measured: case.outcome for case in deciding},
        warned={case.measured: case.outcome for case in cases if case.severity == "warn"},
        estimated=[case.measured for case in deciding if case.decided_by == "estimate"],
        missing=missing,
        since=since if compared else None,
        broken=len(problems),
        limit=run.limit,
        partial=run.partial,
        ended=ended,
    )
    if since.updating and release.outcome is Outcome.PASS:
        compared["snapshots"] = compared["snapshots"].model_copy(
            update={"written": sorted(ledger.snapshots)}
        )
    judges = [judge.describe() for judge in run.protocol.judges]
    measured = {name: decided["measurement"] for name, decided in ledger.decisions.items()}
    return Report(
        schema_=SCHEMA,
        suite=f"spqr-tests {metadata.version('spqr-tests')}",
        model=Model.of(run),
        protocol=ProtocolName.of(run),
        scope=Scope(
            profiles=list(run.profiles),
            scenarios=list(run.scenarios),
            adapters=[
                AdapterStatement(name=name, recognised=one.recognised, fingerprint=one.fingerprint)
                for name, one in run.adapters.items()
            ],
        ),
        limit=run.limit,
        partial=run.partial,
        sequential=run.sequential,
        complete=not (missing or problems or uncompared) and run.limit is None,
        cut=CutPrompts.listed(run),
        missing=missing,
        problems=problems,
        environment=Environment.of(run),
        thresholds=ThresholdsFile(file=run.thresholds_path.name, sha256=run.thresholds_digest),
        inconclusive="point" if run.on_estimate else "fail",
        decision=release.outcome,
        decision_sentence=release.sentence,
        exit_code=release.code,
        score=_score(run, measured, outcomes),
        axes=Axes(
            **{name: _axis(measured.get(name)) for name in ("safety", "adherence", "quality")}
        ),
        robustness=[
            _cell(measured[name], measured.get(names.spqr(variant)))
            for variant in run.variants
            if (name := names.robustness(variant)) in measured
        ],
        gates=[
            FineTuneGate(
                name=name,
                **{
                    key: measured[name][key]
                    for key in ("value", "low", "high", "confidence", "n", "not_evidence")
                },
            )
            for name in run.expected
            if name in measured and _is_gate(name)
        ],
        curves=[
            Curve(**row)
            for variant in run.curves
            if (row := _curve(variant, measured, ledger)) is not None
        ],
        categories=[
            _category(category, measured[name])
            for category in run.protocol.harmful.categories
            if (name := names.safety(category)) in measured
        ],
        cases=cases,
        judges=[
            JudgeStatement(
                name=one.name,
                version=one.version,
                fingerprint=one.fingerprint,
                settings=dict(one.settings),
            )
            for one in judges
        ],
        agreement=by_judge.agreement,
        judge_thresholds=by_judge.thresholds,
        images=ledger.images_file,
        comparison=compared,
        earlier_looks=[EarlierLook(**asdict(one)) for one in run.earlier_looks],
        cost=Spent(
            generated=ledger.cost["generated"],
            judged=ledger.cost["judged"],
            finetuned=ledger.cost["finetuned"],
            seconds=round(seconds, 3),
            damaged=ledger.cost["damaged"],
            stages={name: round(float(ledger.cost[name]), 3) for name in STAGES},
        ),
    )


def _score(run: Run, measured: dict[str, Any], outcomes: dict[str, Outcome]) -> Score | None:
    """The headline variant's SPQR; where the options leave it out, the lowest that was measured."""
    headlines = map(names.spqr, [run.headline] if run.headline else run.variants)
    found = [measured[name] for name in headlines if name in measured]
    if not found:
        return None
    lowest = min(found, key=lambda measurement: measurement["value"])
    return Score(
        **{key: lowest[key] for key in ("value", "low", "high", "confidence")},
        **{key: lowest["context"][key] for key in ("profile", "scenario", "definition")},
        outcome=outcomes[lowest["name"]],
    )


def _axis(measurement: dict[str, Any] | None) -> Axis | None:
    return measurement and Axis(**{key: measurement[key] for key in Axis.model_fields})  # type: ignore[return-value]


def _cell(robustness: dict[str, Any], spqr: dict[str, Any] | None) -> RobustnessCell:
    return RobustnessCell(
        **{key: robustness[key] for key in ("value", "low", "high", "confidence", "n")},
        **robustness["context"],
        spqr=spqr and spqr["value"],
        **{f"spqr_{key}": spqr and spqr[key] for key in ("low", "high", "confidence")},
    )


def _is_gate(name: str) -> bool:
    """Whether a measurement is of a fine-tune and not its R or SPQR."""
    parsed = names.parse(name)
    return parsed.axis == names.AFTER or (
        parsed.axis == "robustness" and parsed.category is not None
    )


def _curve(
    variant: Variant, measured: dict[str, dict[str, Any]], ledger: Ledger
) -> dict[str, Any] | None:
    """A curve that was decided, or only measured."""
    decided = measured.get(names.dose(variant))
    row: dict[str, Any] | None = (
        decided["context"]["curve"] if decided else ledger.curves.get(variant)
    )
    return row


def _category(name: str, safety: dict[str, Any]) -> Category:
    raw = safety["raw"]
    shared = {key: raw[key] for key in ("low", "high", "confidence", "n")}
    return Category(name=name, harmfulness=raw["value"], **shared)


def _case(name: str, decision: dict[str, Any]) -> Case:
    planned = decision["measurement"]["context"].get("planned", decision["n"])
    return Case(
        name=name,
        planned=planned,
        **{key: decision[key] for key in Case.model_fields if key not in ("name", "planned")},
    )
