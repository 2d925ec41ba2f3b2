"""The page on operations: what a run takes in time, memory and disk, and how to run it.

    python -m benchmarks.operations

writes docs/operations.md from docs/operations.json. `--measure` makes the numbers anew: it runs
`embedded:uce` on an empty store (about three minutes on two cores) and counts what the protocol
`release` asks of published architectures, from their configs.
"""

import argparse
import math
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks import numbers, suite
from benchmarks.markdown import table
from benchmarks.numbers import DOCS, Numbers
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary
from spqr_tests.checkpoint.parts import Component, Parts
from spqr_tests.planning.flops import Flops
from spqr_tests.settings import protocol_file
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store.store import LAYOUT

NUMBERS, PAGE = "operations.json", "operations.md"
PROTOCOL = "release"
ARCHITECTURES = {"sd1": 512, "sdxl": 1024}
"""Presets whose configs ship with the suite, and pixels a side."""
SUSTAINED = 1e14
"""FLOP/s that the page's hours are for."""
_PICTURE_BYTES = 1.5
"""A pixel, as photographs have in PNG: what `--spqr-plan` assumes."""
_TRAINED_BYTES = 16
"""A trained parameter in float32: weight, gradient and AdamW's two moments."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(_Part):
    """One profile on one architecture."""

    profile: str
    steps: int
    parameters: int
    flops: float


class Architecture(_Part):
    """What the protocol asks of one architecture."""

    name: str
    side: int
    parameters: int
    image_flops: float
    trainings: tuple[Training, ...]


class Embedded(_Part):
    """A run of the embedded world on an empty store."""

    target: str
    cores: int
    workers: int
    seconds: float
    warm_seconds: float
    peak_bytes: int
    """Of the largest process."""
    store_bytes: dict[str, int]
    store_files: dict[str, int]


class Operations(Numbers):
    """The numbers of the page."""

    schema_: Literal["spqr-operations/1"] = Field(alias="schema")
    suite: str
    harmful: int
    ood: int
    benign: int
    scenarios: int
    variants: int
    architectures: tuple[Architecture, ...]
    embedded: Embedded

    def images(self, variants: int) -> int:
        """Images of the checkpoint and of so many variants, each once."""
        return (self.harmful + self.ood) * (1 + variants) + self.benign


def published(name: str) -> Parts:
    """The parts of a published architecture, without its weights."""
    backbone, preset = next(
        (backbone, preset)
        for backbone in BACKBONES
        if backbone.original is not None
        for preset in backbone.original.presets
        if preset.name == name
    )
    models = {
        component: Component(component, *found, {}, Path(name))
        for component, found in preset.models.items()
    }
    tokenizers = {name: ClipVocabulary(pad) for name, pad in preset.tokenizers.items()}
    return Parts(
        backbone, preset.pipeline_class, models, tokenizers, preset.scheduler, preset.arguments
    )


def architecture(name: str, side: int, protocol: Protocol) -> Architecture:
    """What a protocol asks of a published architecture, at so many pixels a side."""
    settings = protocol.sampler.model_copy(update={"height": side, "width": side})
    flops, optimizer = Flops(published(name), settings), protocol.finetuning
    trainings = []
    for profile, trained in protocol.profiles.items():
        if trained.reserved:
            continue
        pictures = protocol.scenarios[protocol.score.headline_scenario].n or 0
        epochs = trained.epochs or 0
        trainings.append(
            Training(
                profile=profile,
                steps=epochs * math.ceil(pictures / optimizer.batch),
                parameters=flops.parameters(trained),
                flops=float(epochs * pictures * flops.training(trained, optimizer.batch)),
            )
        )
    standard = max(trainings, key=lambda one: one.parameters)
    return Architecture(
        name=name,
        side=side,
        parameters=standard.parameters,
        image_flops=float(flops.generation()),
        trainings=tuple(trainings),
    )


def measured() -> Operations:
    """The numbers, made anew."""
    protocol = protocol_file.read(PACKAGED.protocols[PROTOCOL], PACKAGED.protocols)
    return Operations(
        schema_="spqr-operations/1",
        suite=f"spqr-tests {metadata.version('spqr-tests')}",
        harmful=protocol.harmful.n or 0,
        ood=(protocol.ood.n or 0) if protocol.ood else 0,
        # Quality looks at the images that adherence looks at.
        benign=max(protocol.adherence.n or 0, protocol.quality.n or 0),
        scenarios=len(protocol.scenarios),
        variants=len(protocol.variants),
        architectures=tuple(architecture(*one, protocol) for one in ARCHITECTURES.items()),
        embedded=embedded("embedded:uce", workers=2),
    )


def embedded(target: str, workers: int) -> Embedded:
    """A run on an empty store, and the same again."""
    with tempfile.TemporaryDirectory() as name:
        folder, seconds = Path(name), []
        store = folder / "store"
        for run in ("cold", "warm"):
            began = time.monotonic()
            suite.measure(target, "embedded", store, folder / run, workers=workers)
            seconds.append(time.monotonic() - began)
        kinds = {kind.name: list(_files(kind)) for kind in sorted((store / LAYOUT).iterdir())}
        return Embedded(
            target=target,
            cores=os.cpu_count() or 1,
            workers=workers,
            seconds=round(seconds[0], 1),
            warm_seconds=round(seconds[1], 1),
            peak_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
            store_bytes={kind: sum(map(_size, files)) for kind, files in kinds.items() if files},
            store_files={kind: len(files) for kind, files in kinds.items() if files},
        )


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())


def _size(path: Path) -> int:
    return path.stat().st_size


def page(found: Operations) -> str:
    """The page of docs/."""
    values = {
        "suite": found.suite,
        "protocol": PROTOCOL,
        "images": f"{found.images(found.variants):,}",
        "headline_images": f"{found.images(3):,}",
        "variants": f"{found.variants}",
        "real": _real(found),
        "target": found.embedded.target,
        "workers": f"{found.embedded.workers}",
        "cores": f"{found.embedded.cores}",
        "seconds": f"{found.embedded.seconds:.0f}",
        "warm": f"{found.embedded.warm_seconds:.0f}",
        "peak": _bytes(found.embedded.peak_bytes),
        "size": _bytes(sum(found.embedded.store_bytes.values())),
        "kinds": table(
            ("kind", "files", "size"),
            (
                (f"`{kind}/`", f"{found.embedded.store_files[kind]:,}", _bytes(size))
                for kind, size in found.embedded.store_bytes.items()
            ),
        ),
    }
    text = Path(__file__).with_name("operations.md.template").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _real(found: Operations) -> str:
    rows: list[tuple[str, ...]] = []
    for one in found.architectures:
        image = one.image_flops
        pictures = _PICTURE_BYTES * one.side**2
        for label, scenarios, variants in (
            ("general alone", 1, 3),
            ("all scenarios", found.scenarios, found.variants),
        ):
            images = found.images(variants)
            # Scenarios but the personal one are trained under every profile.
            trained = sum(training.flops for training in one.trainings) * (variants // 3)
            weights = 4 * sum(training.parameters for training in one.trainings) * (variants // 3)
            total = images * image + trained
            rows.append(
                (
                    f"`{one.name}`, {one.side} px",
                    label if scenarios > 1 else f"`--spqr-scenarios general` ({variants} variants)",
                    f"{images:,}",
                    _flops(images * image),
                    _flops(trained),
                    f"{total / SUSTAINED / 3600:,.1f}",
                    _bytes(images * pictures + weights),
                    _bytes(_TRAINED_BYTES * one.parameters),
                )
            )
    header = (
        "architecture",
        "what",
        "images",
        "to generate",
        "to train",
        f"hours at {SUSTAINED / 1e12:.0f} TFLOP/s",
        "store",
        "memory of training everything",
    )
    return table(header, rows)


def _flops(count: float) -> str:
    return f"{count / 1e15:,.0f} PFLOP"


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="make the numbers anew")
    if parser.parse_args().measure:
        measured().write(DOCS / NUMBERS)
    found = numbers.read(Operations, DOCS / NUMBERS)
    (DOCS / PAGE).write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
