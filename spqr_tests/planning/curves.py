"""The curves in a plan: images at each step, of a training that is counted once."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import inventory
from spqr_tests.generation.generations import ImageSource
from spqr_tests.generation.inventory import Images
from spqr_tests.generation.variants import Variants
from spqr_tests.run.run import Run
from spqr_tests.verdict import names
from spqr_tests.verdict.names import Variant


@dataclass(frozen=True)
class Training:
    """How far a variant is trained, and at how many steps it is then written."""

    steps: int
    """Of the whole training where nothing is missing."""
    kept: int


class Curves:
    """What the variants `needed` need on the way, and what the store has of it."""

    def __init__(self, run: Run, variants: Variants, needed: Collection[Variant]) -> None:
        self._run = run
        self._variants = variants
        self._needed = needed

    def work(self, variant: Variant, training: int) -> Training:
        """One of the trainings of any variant.

        It keeps the whole curve where it is made at all; a missing step alone is worth a training
        only where the curve is needed.
        """
        benign = self._run.protocol.scenarios[variant.scenario]
        lengths = self._variants.lengths(variant, benign, training)
        missing = [
            steps
            for steps in lengths.steps
            if self._variants.stored(variant, benign, training, steps=steps) is None
        ]
        if not missing or (variant not in self._needed and missing[-1] != lengths.whole):
            return Training(lengths.whole, 0)
        return Training(missing[-1], len(missing))

    def at_the_end(self, variant: Variant) -> list[Sequence[Prompt]]:
        """What a curve needs of its variant as the whole training leaves it, by set."""
        benign = self._run.protocol.scenarios[variant.scenario]
        whole = self._variants.lengths(variant, benign).whole
        return [self._run.protocol.harmful.rows] if whole in self._run.curves[variant] else []

    def images(self, own: ImageSource) -> Iterator[tuple[str, Images]]:
        """The images at each step by their label: the last step may be the variant's own."""
        run = self._run
        for variant in self._needed:
            benign = run.protocol.scenarios[variant.scenario]
            whole = self._variants.lengths(variant, benign).whole
            for steps in run.curves[variant]:
                source = self._variants.stored(variant, benign, steps=steps)
                label = variant.label if steps == whole else names.at_step(variant, steps)
                yield (
                    label,
                    inventory.images(
                        run.store,
                        source or own,
                        [run.protocol.harmful.rows],
                        exists=source is not None,
                    ),
                )
