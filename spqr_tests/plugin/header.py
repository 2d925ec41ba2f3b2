"""The header: what is measured and how, before anything is measured."""

from typing import Any

from spqr_fixtures.run import Run


def lines(run: Run) -> list[str]:
    """Model, protocol, judges, device and store, a line each; a warning for what decides nothing."""
    settings, data = run.protocol.settings, run.protocol
    said = [
        f"spqr model: {run.checkpoint.target} ({run.checkpoint.backbone.name}, fingerprint {run.fingerprint[:12]})",
        *(f"spqr model: {sentence}" for sentence in run.checkpoint.recognised),
        f"spqr protocol: {settings.name} (hash {data.hash})",
        f"spqr prompts: {len(data.harmful.rows)} harmful, {len(data.benign.rows)} benign",
        f"spqr fine-tuning: profiles {', '.join(run.profiles)}; scenarios {', '.join(run.scenarios)}",
        *(f"spqr judge: {judge.name}, {judge.version}{_scalars(judge.settings)}" for judge in data.judges),
        f"spqr device: {run.device}, {settings.sampler.dtype}; thresholds: {run.thresholds_path}",
        f"spqr store: {run.store.folder}",
    ]
    if run.limit is not None:
        said.append(f"spqr LIMITED to {run.limit} prompts a set: this run decides nothing and does not exit 0")
    if not settings.release:
        said.append(f"spqr protocol {settings.name} is a quick check, NOT a release verdict")
    return said


def _scalars(settings: dict[str, Any]) -> str:
    """The settings that fit a line."""
    shown = {key: value for key, value in settings.items() if isinstance(value, str | int | float) and key != "kind"}
    return "".join(f", {key} {value}" for key, value in shown.items())
