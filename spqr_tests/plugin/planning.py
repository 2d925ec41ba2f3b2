"""Planning: from a run and the cases that were selected to the plan of what they need."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeGuard

import pytest

from spqr_fixtures.harm import variant_of
from spqr_fixtures.run import Run
from spqr_tests.evidence import finetuning, rate, stock
from spqr_tests.evidence.adapter import PROFILE
from spqr_tests.evidence.benign_sets import BenignSet
from spqr_tests.evidence.flops import Flops
from spqr_tests.evidence.generations import Painter
from spqr_tests.evidence.prompt_sets import Prompt
from spqr_tests.evidence.protocol import JudgeSettings, NudeNetSettings
from spqr_tests.evidence.stock import Images
from spqr_tests.evidence.studio import Studio
from spqr_tests.plugin import knowledge
from spqr_tests.plugin.cases import is_case
from spqr_tests.plugin.prospects import Prospects
from spqr_tests.reports import plan
from spqr_tests.reports.plan import Plan
from spqr_tests.reports.report import Model, ProtocolName
from spqr_tests.verdict.measurement import parse_name

CHECKPOINT = "the checkpoint"
# The convolutions of 320n.onnx on a picture of 320 pixels a side, two operations a multiply-add.
_NUDENET = 2_025_254_400
# Measured for `detect` on one core: 10 ms of ONNX, 5 ms around it.
_NUDENET_SECONDS = 0.015
# PNGs of photographs of 512 pixels a side (those that ship with scikit-image), written as the store writes them: 1.0 to 1.8.
_PIXEL_BYTES = 1.5
_PNG_BYTES = 1024
_RECORD_BYTES = 4096
# 2,048 float32 numbers, as text.
_EMBEDDING_BYTES = 3 * 4096

# What a comparison of versions asks for, by axis.
_BEHIND = {
    "safety": {"harm"},
    "adherence": {"adherence"},
    "quality": {"quality"},
    "robustness": {"harm"},
    "spqr": {"harm", "adherence", "quality"},
}


@dataclass(frozen=True)
class Needs:
    """What the selected tests ask for: names of fixtures, the variants whose drift is measured, and the cases among the tests."""

    fixtures: frozenset[str]
    variants: tuple[tuple[str, str], ...]
    cases: tuple[str, ...]
    """Names of their measurements."""


def needs(run: Run, items: Iterable[pytest.Item]) -> Needs:
    """What these tests need; a test that may ask for any variant needs them all."""
    fixtures: set[str] = set()
    variants: set[tuple[str, str]] = set()
    cases: set[str] = set()
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        values: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if is_case(item.path) and "measurement" in values:
            # It asks for what it compares by name.
            axis, subject = parse_name(values["measurement"])
            fixtures |= _BEHIND[axis]
            variants |= {variant_of(subject)} if axis in ("robustness", "spqr") else set()
            continue
        fixtures |= names
        if is_case(item.path):
            cases.add(_measurement(item.path.stem.removeprefix("test_"), values))
        if "robustness" in names:
            variants |= (
                {(values["profile"], values["scenario"])} if {"profile", "scenario"} <= values.keys() else set(run.variants)
            )
    return Needs(
        frozenset(fixtures),
        tuple(variant for variant in run.variants if variant in variants),
        tuple(name for name in run.expected if name in cases),
    )


def _measurement(axis: str, values: Mapping[str, Any]) -> str:
    """The name of what a packaged case measures with these parameters."""
    name = "spqr" if axis == "score" else axis
    subject = values.get("category") or "-".join(values[key] for key in ("profile", "scenario") if key in values)
    return f"{name}[{subject}]" if subject else name


def make(run: Run, needed: Needs) -> Plan:
    """The plan; nothing is painted, trained, judged or written. `InputError` or `EvidenceError` for what could not be done."""
    return _Planner(run, needed).whole()


class _Planner:
    def __init__(self, run: Run, needed: Needs) -> None:
        self._run = run
        self._needed = needed
        settings = run.protocol.settings
        self._flops = Flops(run.checkpoint.parts, settings.sampler)
        self._studio = Studio(
            run.checkpoint, run.fingerprint, settings, run.device, run.store, run.cost, run.progress, lambda _: None
        )
        self._sets = self._prompts()
        self._encoded: set[str] = set()

    def whole(self) -> Plan:
        run = self._run
        own = self._studio.painter()
        harmful = [rows for name, rows in self._sets.items() if name in {"harmful", "ood"}]
        found = {CHECKPOINT: stock.images(run.store, own, self._sets.values())}
        judged = [stock.images(run.store, own, harmful)]
        finetunes = []
        for variant in self._needed.variants:
            painter = self._painter(variant)
            if not self._is_given(variant):
                finetunes.append(self._finetune(*variant, stored=painter is not None))
            found["-".join(variant)] = stock.images(run.store, painter or own, harmful, exists=painter is not None)
            judged.append(found["-".join(variant)])
        images = [
            plan.Images(of=of, images=len(one.digests), stored=one.stored, flops=self._painting(one)) for of, one in found.items()
        ]
        judgements = self._judgements(judged, [one.scenario for one in finetunes if not one.stored])
        embeddings = self._embeddings(own)
        flops = self._sum(images, finetunes, judgements, embeddings)
        return Plan(
            schema_=plan.SCHEMA,
            suite=f"spqr-tests {metadata.version('spqr-tests')}",
            model=Model.of(run),
            protocol=ProtocolName.of(run),
            limit=run.limit,
            sequential=run.sequential,
            prompts=[plan.Prompts(name=name, rows=len(rows)) for name, rows in self._sets.items()],
            images=images,
            finetunes=finetunes,
            judgements=judgements,
            embeddings=embeddings,
            prospects=self._prospects(own),
            flops=flops,
            time=self._time(flops),
            disk=self._disk(images, finetunes, judgements, embeddings),
        )

    def _prospects(self, own: Painter) -> plan.Prospects:
        painters = {"-".join(variant): self._painter(variant) for variant in self._needed.variants}
        made = {name: painter for name, painter in painters.items() if painter is not None}
        known = knowledge.gather(self._run, own, made, self._sets.get("adherence", ()), self._sets.get("quality", ()))
        prospects = Prospects(self._run, known)
        return plan.Prospects(cases=prospects.of(self._needed.cases), assumptions=prospects.assumptions(self._needed.cases))

    def _prompts(self) -> dict[str, Sequence[Prompt]]:
        """The prompts of each set that is needed, as the fixtures take them."""
        protocol, limit = self._run.protocol, self._run.limit
        sets: dict[str, Sequence[Prompt]] = {}
        if "harm" in self._needed.fixtures:
            sets["harmful"] = protocol.harmful.first(limit).rows
        if self._needed.variants and protocol.ood is not None and not self._run.sequential:
            sets["ood"] = protocol.ood.first(limit).rows
        for name, rows in (("adherence", protocol.benign), ("quality", protocol.painted)):
            if name in self._needed.fixtures:
                sets[name] = rows.first(limit and max(2, limit)).rows
        return sets

    def _is_given(self, variant: tuple[str, str]) -> bool:
        return variant[0] == PROFILE and variant[1] in self._run.adapters

    def _painter(self, variant: tuple[str, str]) -> Painter | None:
        """What paints a variant, or None while it has to be trained."""
        if self._is_given(variant):
            return self._studio.adapted_painter(self._run.adapters[variant[1]])
        return self._studio.stored_painter(*variant, self._run.protocol.scenarios[variant[1]])

    def _painting(self, images: Images) -> int:
        size = self._run.protocol.settings.sampler.micro_batch
        painted = sum(count * size * self._flops.generation(scale) for scale, count in images.batches.items())
        return painted + len(images.texts) * self._flops.text

    def _finetune(self, profile: str, scenario: str, *, stored: bool) -> plan.FineTune:
        protocol = self._run.protocol
        optimizer, benign = protocol.settings.finetuning, protocol.scenarios[scenario]
        settings, count = protocol.settings.profiles[profile], len(benign.pairs)
        steps = finetuning.steps_of(settings, optimizer, count)
        flops = 0
        if not stored:
            epochs, rest = divmod(steps, math.ceil(count / optimizer.batch))
            seen = epochs * count + min(count, rest * optimizer.batch)
            flops = seen * self._flops.training(settings, optimizer.batch) + self._encoding(benign)
        return plan.FineTune(
            profile=profile,
            scenario=scenario,
            pictures=count,
            steps=steps,
            batch=optimizer.batch,
            parameters=self._flops.parameters(settings),
            stored=stored,
            flops=flops,
        )

    def _encoding(self, benign: BenignSet) -> int:
        """Latents and embeddings of a set, with the first fine-tune on it."""
        if benign.digest in self._encoded:
            return 0
        self._encoded.add(benign.digest)
        return len(benign.pairs) * self._flops.encode + len({caption for _, caption in benign.pairs}) * self._flops.text

    def _judgements(self, judged: Iterable[Images], trained: Iterable[str]) -> list[plan.Judgements]:
        """`trained` are the scenarios whose pictures are admitted first."""
        threat = self._run.protocol.settings.threat
        painted: set[str] = set()
        unknown = 0
        for one in judged:
            painted |= {found for found in one.digests.values() if found is not None}
            unknown += one.missing
        pictures = {file for scenario in trained for file in self._run.protocol.scenarios[scenario].files}
        rows = []
        for judge in self._run.protocol.judges:
            described = judge.describe()
            looks = threat.images and (threat.judges is None or described.name in threat.judges)
            known = painted | pictures if looks else painted
            stored = sum(stock.holds(self._run.store, "judgements", described.fingerprint, one) for one in known)
            calls = len(known) - stored + unknown
            settings = self._run.protocol.settings.judges[described.name]
            flops = calls * _NUDENET * settings.resolution**2 // 320**2 if _is_packaged_nudenet(settings) else None
            rows.append(
                plan.Judgements(judge=described.name, images=len(known) + unknown, stored=stored, at_most=calls, flops=flops)
            )
        return rows

    def _embeddings(self, own: Painter) -> list[plan.Embeddings]:
        """Of generations, once for each encoder that looks at them."""
        protocol, store = self._run.protocol, self._run.store
        encoders = {"adherence": protocol.adherence_encoder, "quality": protocol.quality_encoder}
        wanted: dict[tuple[str, str], bool] = {}
        for name, encoder in encoders.items():
            if name in self._sets:
                for key, found in stock.images(store, own, [self._sets[name]]).digests.items():
                    held = found is not None and stock.holds(store, "embeddings", encoder.fingerprint, found)
                    wanted[encoder.fingerprint, found or key] = held
        rows = []
        if "quality" in self._sets:
            files = set(protocol.reference.files)
            stored = sum(stock.holds(store, "embeddings", protocol.quality_encoder.fingerprint, file) for file in files)
            rows.append(plan.Embeddings(of="reference pictures", images=len(files), stored=stored))
        if wanted:
            rows.append(plan.Embeddings(of="generations", images=len(wanted), stored=sum(wanted.values())))
        return rows

    def _sum(
        self,
        images: Iterable[plan.Images],
        finetunes: Iterable[plan.FineTune],
        judgements: Sequence[plan.Judgements],
        embeddings: Iterable[plan.Embeddings],
    ) -> plan.Flops:
        paint, train = sum(one.flops for one in images), sum(one.flops for one in finetunes)
        judge = sum(one.flops or 0 for one in judgements)
        silent = [one.judge for one in judgements if one.flops is None and one.at_most]
        silent += ["embeddings"] if any(one.stored < one.images for one in embeddings) else []
        return plan.Flops(paint=paint, train=train, judge=judge, total=paint + train + judge, not_counted=silent)

    def _time(self, flops: plan.Flops) -> plan.Time | None:
        if not flops.total:
            return None
        device, dtype = self._run.device, self._run.protocol.settings.sampler.dtype
        measured, share = rate.measure(device, dtype), rate.SHARES[device.split(":")[0]]
        return plan.Time(
            seconds=(flops.paint + flops.train) / (measured * share.value) + flops.judge / _NUDENET * _NUDENET_SECONDS,
            device=device,
            rate=measured,
            share=share.value,
            assumption=(
                f"what a product of matrices in {dtype} reaches here ({share.because}); NudeNet {1000 * _NUDENET_SECONDS:.0f} ms a picture"
            ),
        )

    def _disk(
        self,
        images: Iterable[plan.Images],
        finetunes: Iterable[plan.FineTune],
        judgements: Iterable[plan.Judgements],
        embeddings: Iterable[plan.Embeddings],
    ) -> plan.Disk:
        numbers = self._run.protocol.settings.sampler.numbers
        picture = _PNG_BYTES + _PIXEL_BYTES * numbers.height * numbers.width
        size = sum((one.images - one.stored) * picture for one in images)
        size += sum(4 * one.parameters for one in finetunes if not one.stored)
        size += sum(_RECORD_BYTES * one.at_most for one in judgements)
        size += sum(_EMBEDDING_BYTES * (one.images - one.stored) for one in embeddings)
        return plan.Disk(
            bytes=round(size), assumption=f"{_PIXEL_BYTES} bytes a pixel, as photographs have, and 4 bytes a trained parameter"
        )


def _is_packaged_nudenet(settings: JudgeSettings) -> TypeGuard[NudeNetSettings]:
    return isinstance(settings, NudeNetSettings) and settings.model == "320n"
