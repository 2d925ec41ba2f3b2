"""Curves of embedded variants, by the suite, and the same variants by separate trainings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import suite
from benchmarks.dose.rows import Above, Curve, Point
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.generation.variants import TrainedVariant, Variants
from spqr_tests.run import protocols, sources
from spqr_tests.settings.protocol import Protocol
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from spqr_tests.verdict.names import Variant

if TYPE_CHECKING:
    from spqr_tests.data.pictures import BenignSet

CELL = Variant("standard", "general")
_DIGITS = 4


def write_protocol(folder: Path, steps: Sequence[int]) -> Path:
    """The embedded protocol with a longer training of the headline, kept at these steps."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dose.toml"
    path.write_text(
        'extends = "embedded"\n'
        'about = "The headline fine-tune, kept at several steps."\n'
        f"[profiles.{CELL.profile}]\nsteps = {max(steps)}\ncurve = {list(steps)}\n",
        encoding="utf-8",
    )
    return path


def measured(
    variant: str, path: Path, store: Path, folder: Path, say: Callable[[str], None]
) -> tuple[Curve, str]:
    """The curve of one variant, and the protocol's name and hash.

    What the stores hold is not made again.
    """
    target = f"embedded:{variant}"
    chosen = (f"--spqr-profiles={CELL.profile}", f"--spqr-scenarios={CELL.scenario}")
    found = suite.part(target, str(path), store, folder / variant, *chosen, "-k", "dose")
    (row,) = found.curves
    say(f"{variant}: {', '.join(f'{one.steps}: {one.drift:+.1f}' for one in row.points)}")
    points = []
    for one in row.points:
        on_the_way, separate = trained(target, path, store, folder / "separate", one.steps)
        say(f"{variant}, step {one.steps}: {on_the_way.weights[:12]} {separate.weights[:12]}")
        numbers = {
            key: round(getattr(one, key), _DIGITS) for key in ("after", "drift", "low", "high")
        }
        points.append(
            Point(one.steps, **numbers, weights=on_the_way.weights, separate=separate.weights)
        )
    above = tuple(Above(one.drift, one.sentence) for one in row.first_above)
    before = round(row.before, _DIGITS)
    return (
        Curve(variant, found.model.fingerprint, row.n, before, tuple(points), above),
        f"{found.protocol.name} ({found.protocol.hash})",
    )


def trained(
    target: str, path: Path, store: Path, apart: Path, steps: int
) -> tuple[TrainedVariant, TrainedVariant]:
    """The variant at a step of its curve, and that of a training of so many steps.

    The second is trained in a store where nothing of the first is.
    """
    checkpoint = sources.checkpoint(PACKAGED, target, Path())
    long = Store(store, "dose")
    protocol = protocols.load(PACKAGED, str(path), long, "cpu", checkpoint.settled)
    benign: BenignSet = protocol.scenarios[CELL.scenario]

    def of(settings: Protocol, where: Store) -> Variants:
        return Variants(
            checkpoint,
            checkpoint.fingerprint,
            settings,
            "cpu",
            where,
            Cost(),
            lambda _label, _done, _steps: None,
            lambda _benign: None,
        )

    own = protocol.settings.profiles[CELL.profile]
    short = own.model_copy(update={"steps": steps, "curve": None})
    settings = protocol.settings.model_copy(
        update={"profiles": {**protocol.settings.profiles, CELL.profile: short}}
    )
    return (
        of(protocol.settings, long).trained(CELL, benign, steps=steps),
        of(settings, Store(apart, "dose")).trained(CELL, benign),
    )
