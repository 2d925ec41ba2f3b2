"""Makes the plan of a run from the cases that were selected."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TypeGuard

from spqr_tests.axes.uptake import prompts_of
from spqr_tests.checkpoint.adapter import PROFILE
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import finetuning, inventory
from spqr_tests.generation.generations import ImageSource
from spqr_tests.generation.inventory import Images
from spqr_tests.generation.variants import Variants
from spqr_tests.judging import judging
from spqr_tests.metrics import embedding
from spqr_tests.planning import (
    disk,
    duration,
    known,
    peaks,
    plan,
    release_outlook,
    version_outlook,
)
from spqr_tests.planning.curves import Curves, Training
from spqr_tests.planning.duration import Work
from spqr_tests.planning.flops import counts
from spqr_tests.planning.outlook import RunOutlook
from spqr_tests.planning.plan import Plan
from spqr_tests.reports.report import CutPrompts, Model, ProtocolName
from spqr_tests.run.needs import Needs
from spqr_tests.run.run import Run
from spqr_tests.settings.judges import JudgeSettings, NudeNetSettings
from spqr_tests.store import cards, device
from spqr_tests.verdict import names
from spqr_tests.verdict.names import CHECKPOINT, Variant
from spqr_tests.verdict.release_power import Design

# FLOPs: the convolutions of 320n.onnx on an image of 320 pixels a side, two a multiply-add.
_NUDENET = 2_025_254_400


@dataclass(frozen=True)
class Bought:
    """What a plan is for."""

    card: str | None = None
    """One of `devices.DEVICES`; None for the run's own device."""
    price: float | None = None
    """Of an hour of one process, in any currency."""


def make(run: Run, needed: Needs, bought: Bought | None = None) -> Plan:
    """The plan of a run; nothing is generated, trained, judged or written.

    `bought` is a card that the run's time is asked for, and its price.

    Raises `InputError` or `EvidenceError` for what the run could not do.
    """
    return _Planner(run, needed, bought or Bought()).whole()


class _Planner:
    def __init__(self, run: Run, needed: Needs, bought: Bought) -> None:
        self._run = run
        self._bought = bought
        self._needed = needed
        settings = run.protocol.settings
        self._flops = counts(run.fingerprint, run.checkpoint.parts, settings.sampler)
        self._variants = Variants(
            run.checkpoint,
            run.fingerprint,
            settings,
            run.device,
            run.store,
            run.cost,
            run.progress,
            lambda _: None,
        )
        self._sets = self._prompts()
        self._encoded: set[str] = set()
        self._encoding_flops: Counter[str] = Counter()

    def whole(self) -> Plan:
        run = self._run
        own = self._variants.source()
        harmful = [rows for name, rows in self._sets.items() if name in {"harmful", "ood"}]
        # What variants generate for benign prompts is compared with the checkpoint's own.
        tuned = (*self._needed.variants, *self._needed.curves)
        beside = next(filter(None, (prompts_of(run, one) for one in tuned)), ())
        found = {CHECKPOINT: inventory.images(run.store, own, [*self._sets.values(), *beside])}
        judged = [inventory.images(run.store, own, harmful)]
        curves = Curves(run, self._variants, self._needed.curves)
        finetunes = []
        for variant, training in self._trainings():
            if not self._is_given(variant):
                finetunes.append(self._finetune(variant, training, curves.work(variant, training)))
            source = self._source(variant, training)
            # Of further trainings, nothing out of distribution is measured.
            sets = [self._sets["harmful"]] if training else harmful
            if variant not in self._needed.variants:
                sets = curves.at_the_end(variant)
            label, there = names.training(variant, training), source is not None
            judged.append(inventory.images(run.store, source or own, sets, exists=there))
            sets = [*sets, *prompts_of(run, variant)]
            found[label] = inventory.images(run.store, source or own, sets, exists=there)
        for label, on_the_way in curves.images(own):
            if label not in found:
                found[label] = on_the_way
                judged.append(on_the_way)
        left = [one.profile for one in finetunes if not one.stored]
        found |= self._class_images(own, left)
        images = [
            plan.Images(
                of=of, images=len(one.digests), stored=one.stored, flops=self._generation(one)
            )
            for of, one in found.items()
        ]
        judgements = self._judgements(judged, [one.scenario for one in finetunes if not one.stored])
        embeddings, embed = self._embeddings(own)
        flops = self._sum(images, finetunes, judgements, embeddings)
        return Plan(
            schema_=plan.SCHEMA,
            suite=f"spqr-tests {metadata.version('spqr-tests')}",
            model=Model.of(run),
            protocol=ProtocolName.of(run),
            limit=run.limit,
            sequential=run.sequential,
            prompts=[plan.Prompts(name=name, rows=len(rows)) for name, rows in self._sets.items()],
            cut=CutPrompts.listed(run),
            images=images,
            finetunes=finetunes,
            judgements=judgements,
            embeddings=embeddings,
            outlook=self._outlook(own),
            flops=flops,
            time=self._time(images, finetunes, judgements, embed),
            memory=peaks.of(run, self._flops, images, left, self._bought.card),
            disk=disk.estimate(run, images, finetunes, judgements, embeddings),
        )

    def _trainings(self) -> list[tuple[Variant, int]]:
        """All of the variants' trainings; a variant whose curve alone is needed has the first."""
        whole = self._needed.variants
        return [
            (variant, training)
            for variant in dict.fromkeys((*whole, *self._needed.curves))
            for training in range(self._run.trainings(variant) if variant in whole else 1)
        ]

    def _outlook(self, own: ImageSource) -> plan.Outlook:
        sources = {one.label: self._source(one) for one in self._needed.variants}
        made = {label: source for label, source in sources.items() if source is not None}
        adherence, quality = (self._sets.get(name, ()) for name in ("adherence", "quality"))
        found = known.gather(self._run, own, made, adherence, quality)
        outlook = RunOutlook(self._run, found)
        cases = self._needed.cases
        decides = any(
            self._run.thresholds.for_measurement(name).severity == "fail" for name in cases
        )
        whole = decides and set(self._run.expected) <= set(cases)
        return plan.Outlook(
            release=self._release(outlook.design()) if whole else None,
            comparisons=version_outlook.of(self._run, outlook.design()) if whole else [],
            cases=outlook.of(cases),
            assumptions=outlook.assumptions(cases),
        )

    def _release(self, design: Design) -> plan.ReleaseOutlook:
        beside = {one for name in ("adherence", "quality") for one in self._sets.get(name, ())}
        costs = release_outlook.costs_of(self._run, self._flops, len(beside), design.prompts)
        return release_outlook.of(design, costs)

    def _prompts(self) -> dict[str, Sequence[Prompt]]:
        """The prompts of each set that is needed, selected as the axes do."""
        protocol = self._run.protocol
        sets: dict[str, Sequence[Prompt]] = {}
        if self._needed.harmful:
            sets["harmful"] = protocol.harmful.rows
        if self._needed.variants and protocol.ood is not None and not self._run.sequential:
            sets["ood"] = protocol.ood.rows
        if self._needed.adherence:
            sets["adherence"] = protocol.adherence_prompts.rows
        if self._needed.quality:
            sets["quality"] = protocol.quality_prompts.rows
        return sets

    def _is_given(self, variant: Variant) -> bool:
        return variant.profile == PROFILE and variant.scenario in self._run.adapters

    def _source(self, variant: Variant, training: int = 0) -> ImageSource | None:
        """The images of a training of a variant, or None while it has to be trained."""
        if self._is_given(variant):
            return self._variants.adapted(self._run.adapters[variant.scenario])
        benign = self._run.protocol.scenarios[variant.scenario]
        return self._variants.stored(variant, benign, training)

    def _generation(self, images: Images) -> int:
        size = self._run.protocol.settings.sampler.micro_batch
        flops = sum(
            count * size * self._flops.generation(scale) for scale, count in images.batches.items()
        )
        return flops + len(images.texts) * self._flops.text

    def _finetune(self, variant: Variant, training: int, work: Training) -> plan.FineTune:
        protocol = self._run.protocol
        benign = protocol.scenarios[variant.scenario]
        settings = protocol.settings.profiles[variant.profile]
        optimizer, count = settings.optimizer_of(protocol.settings.finetuning), len(benign.pairs)
        steps, flops = work.steps, 0
        if work.kept:
            encoding = self._encoding(benign)
            self._encoding_flops[variant.profile] += encoding
            made = settings.model_copy(update={"epochs": None, "steps": steps})
            seen = finetuning.seen(made, optimizer, count)
            flops = seen * self._flops.training(settings, optimizer.batch) + encoding
        return plan.FineTune(
            profile=variant.profile,
            scenario=variant.scenario,
            seed=optimizer.training_seed(training),
            pictures=len(benign.pictures),
            steps=steps,
            batch=optimizer.batch * (settings.accumulation or 1),
            parameters=self._flops.parameters(settings),
            stored=not work.kept,
            kept=work.kept,
            flops=flops,
        )

    def _class_images(self, own: ImageSource, missing: Iterable[str]) -> dict[str, Images]:
        """Images that the checkpoint generates for DreamBooth trainings, by what they are of."""
        wanted = {name: self._variants.class_images(name) for name in dict.fromkeys(missing)}
        return {
            f"class of {name}": inventory.images(self._run.store, own, [prompts])
            for name, prompts in wanted.items()
            if prompts
        }

    def _encoding(self, benign: BenignSet) -> int:
        """The cost of a set's latents and embeddings; 0 after the first fine-tune on it."""
        if benign.digest in self._encoded:
            return 0
        self._encoded.add(benign.digest)
        return (
            len(benign.pairs) * self._flops.encode
            + len({caption for _, caption in benign.pairs}) * self._flops.text
        )

    def _judgements(
        self, judged: Iterable[Images], trained: Iterable[str]
    ) -> list[plan.Judgements]:
        """The calls of each judge; the pictures of the scenarios `trained` are checked first."""
        threat = self._run.protocol.settings.threat
        made: set[str] = set()
        unknown = 0
        for one in judged:
            made |= {found for found in one.digests.values() if found is not None}
            unknown += one.missing
        pictures = {
            one for scenario in trained for one in self._run.protocol.scenarios[scenario].identities
        }
        rows = []
        for judge in self._run.protocol.judges:
            described = judge.describe()
            looks = threat.images and (threat.judges is None or described.name in threat.judges)
            seen = made | pictures if looks else made
            stored = sum(
                inventory.holds(self._run.store, judging.KIND, judging.key(described, one))
                for one in seen
            )
            calls = len(seen) - stored + unknown
            settings = self._run.protocol.settings.judges[described.name]
            flops = (
                calls * _NUDENET * settings.resolution**2 // 320**2
                if _is_packaged_nudenet(settings)
                else None
            )
            rows.append(
                plan.Judgements(
                    judge=described.name,
                    images=len(seen) + unknown,
                    stored=stored,
                    at_most=calls,
                    flops=flops,
                )
            )
        return rows

    def _embeddings(self, own: ImageSource) -> tuple[list[plan.Embeddings], Counter[str]]:
        """The images to embed, and how many by axis; generated ones count once for each encoder."""
        protocol, store = self._run.protocol, self._run.store
        encoders = {"adherence": protocol.adherence_encoder, "quality": protocol.quality_encoder}
        wanted: dict[tuple[str, str], bool] = {}
        left: Counter[str] = Counter()
        for name, encoder in encoders.items():
            if name in self._sets:
                for key, found in inventory.images(store, own, [self._sets[name]]).digests.items():
                    held = found is not None and inventory.holds(
                        store, embedding.KIND, embedding.key(encoder, found)
                    )
                    left[name] += not (held or (encoder.fingerprint, found or key) in wanted)
                    wanted[encoder.fingerprint, found or key] = held
        rows = []
        if "quality" in self._sets:
            identities = set(protocol.reference.identities)
            stored = sum(
                inventory.holds(store, embedding.KIND, embedding.key(protocol.quality_encoder, one))
                for one in identities
            )
            rows.append(
                plan.Embeddings(of="reference pictures", images=len(identities), stored=stored)
            )
            left["quality"] += len(identities) - stored
        if wanted:
            rows.append(
                plan.Embeddings(of="generations", images=len(wanted), stored=sum(wanted.values()))
            )
        return rows, left

    def _sum(
        self,
        images: Iterable[plan.Images],
        finetunes: Iterable[plan.FineTune],
        judgements: Sequence[plan.Judgements],
        embeddings: Iterable[plan.Embeddings],
    ) -> plan.Flops:
        generate, train = sum(one.flops for one in images), sum(one.flops for one in finetunes)
        judge = sum(one.flops or 0 for one in judgements)
        silent = [one.judge for one in judgements if one.flops is None and one.at_most]
        silent += ["embeddings"] if any(one.stored < one.images for one in embeddings) else []
        return plan.Flops(
            generate=generate,
            train=train,
            judge=judge,
            total=generate + train + judge,
            not_counted=silent,
        )

    def _time(
        self,
        images: Sequence[plan.Images],
        finetunes: Sequence[plan.FineTune],
        judgements: Iterable[plan.Judgements],
        embed: Mapping[str, int],
    ) -> plan.Time | None:
        steps: Counter[str] = Counter()
        train: Counter[str] = Counter()
        for one in finetunes:
            steps[one.profile] += 0 if one.stored else one.steps
            train[one.profile] += one.flops
        longest = max(finetunes, key=lambda one: one.flops, default=None)
        work = Work(
            generate=sum(one.flops for one in images),
            train=train - self._encoding_flops,
            longest=("", 0.0) if longest is None else (longest.profile, longest.flops),
            steps=+steps,
            encode=self._encoding_flops.total(),
            judge={one.judge: one.at_most for one in judgements},
            embed=embed,
            images=sum(one.images - one.stored for one in images),
            fid=len(self._sets.get("quality", ())),
        )
        if not (work.generate or work.train or any(work.judge.values())):
            return None
        card, price = self._bought.card, self._bought.price
        found = duration.estimate(self._run, self._flops, work, card)
        workers = 1
        if card is None:
            on_cpu = self._run.device == "cpu"
            workers = device.cores() if on_cpu else max(1, len(cards.visible()))
        return plan.Time(
            seconds=found.seconds,
            workers=workers,
            workers_seconds=found.by(workers),
            stages={name: round(one, 2) for name, one in found.stages.items()},
            device=card or self._run.device,
            price=None if price is None else price * found.seconds / 3600,
            rate=found.rate,
            share=found.share,
            assumption=found.assumption,
            not_counted=list(found.not_counted),
        )


def _is_packaged_nudenet(settings: JudgeSettings) -> TypeGuard[NudeNetSettings]:
    return isinstance(settings, NudeNetSettings) and settings.model == "320n"
