"""The work of a run: its items, worked out before the cases run.

The cases ask for the same evidence in the same way. What is missing here, or fails, they make
themselves, and say so if they cannot.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.axes.uptake import prompts_of
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt
from spqr_tests.errors import BrokenModelError
from spqr_tests.execution.item import Item, Items
from spqr_tests.generation import destroyed, finetuning, generations, held_out, inventory
from spqr_tests.generation.generations import Generation, ImageSource
from spqr_tests.judging import benign_check, judging
from spqr_tests.judging.judges import Judge
from spqr_tests.metrics import anchors, embedding
from spqr_tests.metrics.embedding import ImageEncoder
from spqr_tests.run.needs import Needs
from spqr_tests.store.images import Picture
from spqr_tests.verdict import names
from spqr_tests.verdict.names import CHECKPOINT, Variant

_PICTURES = 128
"""Pictures that one item looks at or embeds."""
_BACKWARD = 3
"""Passes that a training step on one picture is worth."""
_LOOK = 0.2
"""Passes that judging or embedding one image is worth: not measured, and only for the order."""


def of(flags: HarmfulFlags, needed: Needs) -> Items:
    """The items for what the selected tests measure; those of trainings come first.

    In a sequential run the harmful prompts' images are left to the cases, which decide how many
    they need.
    """
    return Items(item.timed(flags.run.cost) for item in _Work(flags, needed).all())


@dataclass(frozen=True)
class _Model:
    """The checkpoint, or what a training left: a label, its images' source, what must be first."""

    label: str
    source: Callable[[], ImageSource]
    stored: Callable[[], ImageSource | None]
    """The same, or None while it has to be trained."""
    destroyed: Callable[[], bool] = bool
    """Whether it was fine-tuned and is known to give nothing, so that nothing of it is missing."""
    after: tuple[str, ...] = ()
    unit: str = ""


class _Work:
    def __init__(self, flags: HarmfulFlags, needed: Needs) -> None:
        self._flags = flags
        self._run = flags.run
        self._needed = needed
        self._own = flags.variants.source()
        self._numbers = flags.run.protocol.settings.sampler.numbers

    def all(self) -> Iterator[Item]:
        """Every item, after those that it waits for."""
        run, needed = self._run, self._needed
        trained = [
            (variant, training)
            for variant in dict.fromkeys((*needed.variants, *needed.curves))
            if variant in run.trained
            for training in range(run.trainings(variant) if variant in needed.variants else 1)
        ]
        for scenario in dict.fromkeys(variant.scenario for variant, _ in trained):
            yield from self._checks(scenario)
        models = []
        for variant, training in trained:
            model = self._trained(variant, training)
            yield self._training(variant, training, model)
            models.append((variant, training, model))
        yield from self._of_checkpoint()
        for profile, scenario in dict.fromkeys((v.profile, v.scenario) for v, _ in trained):
            yield from self._loss(Variant(profile, scenario), self._checkpoint)
        for variant, training, model in models:
            harmful = variant in needed.variants
            yield from self._images(model, self._harmful(training) if harmful else [])
            yield from self._embedded(model, prompts_of(run, variant))
            yield from self._loss(variant, model)
            if training == 0 and variant in needed.curves:
                yield from self._curve(variant)
        for variant in needed.variants:
            if variant not in run.trained:
                yield from self._images(self._adapted(variant), self._harmful(0))
        sizes = [len(run.protocol.quality_prompts.rows)] if needed.quality else []
        sizes += [len(prompts_of(run, one)[1]) for one in needed.variants if prompts_of(run, one)]
        if sizes:
            yield from self._reference(sizes)

    @cached_property
    def _checkpoint(self) -> _Model:
        return _Model(CHECKPOINT, lambda: self._own, lambda: self._own)

    def _of_checkpoint(self) -> Iterator[Item]:
        run, needed, protocol = self._run, self._needed, self._run.protocol
        harmful = self._harmful(0 if needed.variants else 1) if needed.harmful else []
        yield from self._images(self._checkpoint, harmful)
        benign: dict[Prompt, None] = {}
        if needed.adherence:
            benign |= dict.fromkeys(protocol.adherence_prompts.rows)
        if needed.quality:
            benign |= dict.fromkeys(protocol.quality_prompts.rows)
        for variant in needed.variants:
            for rows in prompts_of(run, variant):
                benign |= dict.fromkeys(rows)
        yield from self._embedded(self._checkpoint, [tuple(benign)])

    def _harmful(self, training: int) -> list[tuple[Prompt, ...]]:
        """The harmful prompts of a model; out of distribution, of the first training alone."""
        if self._run.sequential:
            return []
        return [self._flags.prompts, *([] if training else [self._flags.ood_prompts])]

    def _trained(self, variant: Variant, training: int, steps: int | None = None) -> _Model:
        benign = self._run.protocol.scenarios[variant.scenario]
        whole = names.training(variant, training)
        label = whole if steps is None else names.at_step(variant, steps)
        return _Model(
            label,
            lambda: self._flags.source(variant, training, steps),
            lambda: self._flags.variants.stored(variant, benign, training, steps=steps),
            lambda: self._flags.variants.is_destroyed(variant, benign, training, steps=steps),
            (f"train {whole}",),
            whole,
        )

    def _adapted(self, variant: Variant) -> _Model:
        def source() -> ImageSource:
            return self._flags.source(variant)

        return _Model(variant.label, source, source, unit=variant.label)

    def _checks(self, scenario: str) -> Iterator[Item]:
        threat = self._run.protocol.settings.threat
        looking = benign_check.looking_at_pictures(threat, self._run.protocol.judges)
        known = self._run.protocol.scenarios[scenario].known if looking else ()
        for start in range(0, len(known), _PICTURES):
            pictures = known[start : start + _PICTURES]
            end = start + len(pictures)
            yield Item(
                "check",
                f"check {scenario}, pictures {start + 1} to {end}",
                "",
                _LOOK * len(pictures),
                partial(self._are_judged, looking, pictures),
                partial(self._judge, looking, pictures, scenario),
                pieces=len(pictures) * len(looking),
            )

    def _training(self, variant: Variant, training: int, model: _Model) -> Item:
        run = self._run
        benign = run.protocol.scenarios[variant.scenario]
        profile = run.protocol.settings.profiles[variant.profile]
        optimizer = run.protocol.settings.finetuning
        seen = finetuning.seen(profile, optimizer, len(benign.pairs))
        curve = run.curves.get(variant, ()) if training == 0 else ()
        variants = self._flags.variants
        whole = variants.lengths(variant, benign, training).whole
        kept = {whole, *curve} if variant in self._needed.curves else {whole}

        def done() -> bool:
            return all(
                variants.stored(variant, benign, training, steps=steps) is not None
                for steps in sorted(kept)
            )

        def make() -> None:
            for steps in sorted(kept):  # one training leaves them all
                variants.fine_tuned(variant, benign, training, steps=steps)

        checks = tuple(item.name for item in self._checks(variant.scenario))
        name = f"train {model.label}"
        settled = _settled(done, make, model.destroyed)
        return Item(
            "train", name, CHECKPOINT, _BACKWARD * seen, *settled, checks, model.unit, whole
        )

    def _loss(self, variant: Variant, model: _Model) -> Iterator[Item]:
        run = self._run
        pictures = run.protocol.held_out.get(variant.scenario)
        settings = run.protocol.settings
        profile = settings.profiles[variant.profile]
        if pictures is None or profile.inversion is not None:
            return

        def key(source: ImageSource, held: BenignSet) -> str:
            return held_out.key(source, held, profile, settings.finetuning)

        def done() -> bool:
            source = model.stored()
            if source is None:
                return False
            own = key(source, pictures)
            return inventory.holds(run.store, held_out.KIND, own) or (
                source.trained and destroyed.known(run.store, own)
            )

        def make() -> object:
            return held_out.losses(
                run.store, model.source(), pictures, profile, settings.finetuning
            )

        yield Item(
            "loss",
            f"loss of {model.label} on {variant.scenario} as {variant.profile}",
            model.label,
            held_out.DRAWS * len(pictures.pictures),
            *_settled(done, make, model.destroyed),
            model.after,
            model.unit or f"loss on {variant.scenario} as {variant.profile}",
        )

    def _curve(self, variant: Variant) -> Iterator[Item]:
        benign = self._run.protocol.scenarios[variant.scenario]
        whole = self._flags.variants.lengths(variant, benign).whole
        for steps in self._run.curves[variant]:
            if steps != whole or variant not in self._needed.variants:
                yield from self._images(self._trained(variant, 0, steps), [self._flags.prompts])

    def _images(self, model: _Model, sets: Sequence[Sequence[Prompt]]) -> Iterator[Item]:
        """Images to generate and to judge."""
        judges = self._run.protocol.judges
        for item, images in self._generated(model, sets, "harmful"):
            yield item

            def judged(images: Callable[[], list[Generation] | None] = images) -> bool:
                found = images()
                return found is not None and self._are_judged(judges, found)

            def judge(images: Callable[[], list[Generation] | None] = images) -> None:
                self._judge(judges, images() or [], model.label)

            yield self._looked_at("judge", item, judged, judge, model)

    def _embedded(self, model: _Model, sets: Sequence[Sequence[Prompt]]) -> Iterator[Item]:
        """Images to generate and to embed."""
        protocol = self._run.protocol
        encoders: dict[str, ImageEncoder] = {
            one.fingerprint: one for one in (protocol.adherence_encoder, protocol.quality_encoder)
        }
        for item, images in self._generated(model, sets, "benign"):
            yield item

            def embedded(images: Callable[[], list[Generation] | None] = images) -> bool:
                found = images()
                return found is not None and self._are_embedded(encoders.values(), found)

            def embed(images: Callable[[], list[Generation] | None] = images) -> None:
                for encoder in encoders.values():
                    embedding.embed(self._run.store, encoder, images() or [])

            yield self._looked_at("embed", item, embedded, embed, model)

    def _looked_at(
        self,
        kind: Literal["judge", "embed"],
        of: Item,
        done: Callable[[], bool],
        make: Callable[[], object],
        model: _Model,
    ) -> Item:
        name = of.name.replace("generate", kind, 1)
        settled = _settled(done, make, model.destroyed)
        pieces = of.pieces * len(self._run.protocol.judges) if kind == "judge" else 0
        return Item(kind, name, "", _LOOK * self._size, *settled, (of.name,), of.unit, pieces)

    @property
    def _size(self) -> int:
        return self._run.protocol.settings.sampler.micro_batch

    def _generated(
        self, model: _Model, sets: Sequence[Sequence[Prompt]], what: str
    ) -> Iterator[tuple[Item, Callable[[], list[Generation] | None]]]:
        """An item for each micro-batch, and its images as far as all are there."""
        run, prompts = self._run, tuple(dict.fromkeys(row for rows in sets for row in rows))
        for number, rows in enumerate(generations.batches(self._own, prompts), 1):
            chosen = [prompts[row] for row in rows]
            name = f"generate {model.label}, {what} {number}"

            def images(chosen: Sequence[Prompt] = chosen) -> list[Generation] | None:
                source = model.stored()
                return (
                    None if source is None else inventory.generations_of(run.store, source, chosen)
                )

            def make(chosen: Sequence[Prompt] = chosen) -> object:
                return generations.generate(
                    run.store, model.source(), chosen, run.cost, lambda *_: None, model.label
                )

            cost = 2 * self._numbers.steps * self._size
            # Any process may take a batch of the checkpoint's own images.
            unit = model.unit or name
            yield (
                Item(
                    "generate",
                    name,
                    model.label,
                    cost,
                    *_settled(partial(_is_there, images), make, model.destroyed),
                    model.after,
                    unit,
                    len(chosen),
                ),
                images,
            )

    def _reference(self, sizes: Iterable[int]) -> Iterator[Item]:
        """The reference pictures to embed, and anchors for so many images where none are stated."""
        run, protocol = self._run, self._run.protocol
        encoder, known, settings = (
            protocol.quality_encoder,
            protocol.reference.known,
            protocol.settings.quality,
        )
        embedded = []
        for start in range(0, len(known), _PICTURES):
            pictures = known[start : start + _PICTURES]
            embedded.append(f"embed reference pictures {start + 1} to {start + len(pictures)}")
            yield Item(
                "embed",
                embedded[-1],
                "",
                _LOOK * len(pictures),
                partial(self._are_embedded, [encoder], pictures),
                partial(embedding.embed, run.store, encoder, pictures),
                unit="reference",
            )
        for n in dict.fromkeys(sizes):
            yield Item(
                "embed",
                f"anchors of quality for {n} images",
                "",
                _LOOK * n,
                partial(_is_there, partial(anchors.known, run.store, encoder, known, n, settings)),
                partial(anchors.measure, run.store, encoder, known, n, settings),
                tuple(embedded),
                "reference",
            )

    def _judge(self, judges: Sequence[Judge], pictures: Sequence[Picture], label: str) -> None:
        run = self._run
        judging.judge(run.store, judges, pictures, run.cost, lambda *_: None, label)

    def _are_judged(self, judges: Sequence[Judge], pictures: Sequence[Picture]) -> bool:
        return all(
            inventory.holds(self._run.store, judging.KIND, judging.key(described, one.digest))
            for described in (judge.describe() for judge in judges)
            for one in pictures
        )

    def _are_embedded(self, encoders: Iterable[ImageEncoder], pictures: Sequence[Picture]) -> bool:
        return all(
            inventory.holds(self._run.store, embedding.KIND, embedding.key(encoder, one.digest))
            for encoder in encoders
            for one in pictures
        )


def _settled(
    done: Callable[[], bool], make: Callable[[], object], destroyed: Callable[[], bool]
) -> tuple[Callable[[], bool], Callable[[], None]]:
    """`done` and `make` of an item whose model a fine-tune may have destroyed.

    The case that needs the item then finds in the store that nothing can be had, as a case does
    that makes it itself.
    """

    def is_settled() -> bool:
        return done() or destroyed()

    def settle() -> None:
        try:
            make()
        except BrokenModelError:
            if not is_settled():
                raise

    return is_settled, settle


def _is_there(look: Callable[[], object]) -> bool:
    return look() is not None
