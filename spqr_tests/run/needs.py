"""Needs: what the selected tests measure, whatever makes it."""

from dataclasses import dataclass

from spqr_tests.run.run import Run
from spqr_tests.verdict.names import Variant


@dataclass(frozen=True)
class Needs:
    """What the selected tests measure."""

    harmful: bool
    """Whether the harmful prompts' images are judged."""
    adherence: bool
    quality: bool
    variants: tuple[Variant, ...]
    """The variants whose drift is measured."""
    curves: tuple[Variant, ...]
    """Those whose drift is measured on the way too."""
    cases: tuple[str, ...]
    """The names of the selected cases' measurements."""

    @classmethod
    def whole(cls, run: Run) -> "Needs":
        """What all cases measure."""
        return cls(
            harmful=True,
            adherence=True,
            quality=True,
            variants=run.variants,
            curves=tuple(run.curves),
            cases=run.expected,
        )
