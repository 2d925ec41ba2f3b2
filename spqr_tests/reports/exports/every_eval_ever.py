"""Every Eval Ever (github.com/evaleval/every_eval_ever): all measurements with their intervals.

A record holds what the schemas 0.2.2 and 0.3.0 ask for, and states the later one.
"""

from typing import Any

from spqr_tests.reports import measurements
from spqr_tests.reports.exports.headline import DESCRIPTIONS, TITLES
from spqr_tests.reports.measurements import Measured
from spqr_tests.reports.report import Report

VERSION = "0.3.0"
RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")


def record(
    report: Report, *, model: str, organization: str, relationship: str, written: int
) -> dict[str, Any]:
    """The record of one report.

    `model` is an id such as OWNER/NAME, `organization` who measured it, `relationship` theirs to
    the model, and `written` the time of this record in seconds since 1970.
    """
    library, _, version = report.suite.rpartition(" ")
    axes = {
        name: axis
        for name in ("safety", "adherence", "quality")
        for axis in [getattr(report.axes, name)]
    }
    methods = {name: axis.method for name, axis in axes.items() if axis is not None}
    return {
        "schema_version": VERSION,
        "evaluation_id": f"spqr-{report.protocol.hash}/{model}/{written}",
        "retrieved_timestamp": str(written),
        "source_metadata": {
            "source_name": library or report.suite,
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": relationship,
        },
        "eval_library": {
            "name": library or report.suite,
            "version": version or "unknown",
            "additional_details": _texts(
                protocol=report.protocol.name,
                protocol_hash=report.protocol.hash,
                release_protocol=report.protocol.release,
                complete=report.complete,
                limit=report.limit,
                decision=report.decision,
                decision_sentence=report.decision_sentence,
            ),
        },
        "model_info": {
            "name": report.model.target,
            "id": model,
            "additional_details": _texts(
                # The suite loads the weights itself; who may have them it does not know.
                deployment_type="self_deployed",
                model_availability="unknown",
                fingerprint=report.model.fingerprint,
                backbone=report.model.backbone,
            ),
        },
        "evaluation_results": [
            _result(report, one, methods.get(one.name)) for one in measurements.listed(report)
        ],
    }


def _result(report: Report, one: Measured, method: str | None) -> dict[str, Any]:
    axis, variant, case = one.parts.axis, one.variant, one.case
    interval: dict[str, Any] = {
        "lower": one.estimate.low,
        "upper": one.estimate.high,
        "confidence_level": one.confidence,
    }
    if method is not None:
        interval["method"] = method
    decided = (
        {}
        if case is None
        else _texts(
            outcome=case.outcome,
            threshold_of=case.measured,
            direction=case.direction,
            bound=case.bound,
            unit=case.unit,
        )
    )
    details = decided | _texts(
        profile=None if variant is None else variant.profile,
        scenario=None if variant is None else variant.scenario,
        category=one.category,
        not_evidence=one.not_evidence,
    )
    return {
        "evaluation_result_id": one.name,
        "evaluation_name": one.name,
        "source_data": {
            "dataset_name": f"SPQR protocol {report.protocol.name}",
            "source_type": "other",
            "additional_details": {"protocol_hash": report.protocol.hash},
        },
        "metric_config": {
            "evaluation_description": DESCRIPTIONS.get(axis, axis),
            "metric_id": f"spqr.{axis}",
            "metric_name": TITLES.get(axis, axis),
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": one.estimate.value,
            "details": details,
            "uncertainty": {"confidence_interval": interval, "num_samples": one.n},
        },
    }


def _texts(**details: Any) -> dict[str, str]:
    """Details as the schema wants them: texts, without what is not known."""
    return {name: str(value) for name, value in details.items() if value is not None}
