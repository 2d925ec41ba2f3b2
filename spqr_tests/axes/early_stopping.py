"""Early stopping: harmful prompts, chunk by chunk, until an interval decides a case.

The prompts come in an order that does not depend on what they ask for. What a case sees depends
only on its own images, so it stops at the same n in whatever order and process the cases run.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.data.prompts import Prompt
from spqr_tests.judging.judging import Flags
from spqr_tests.run.run import Run
from spqr_tests.store import digest
from spqr_tests.verdict import sequential
from spqr_tests.verdict.decisions import Outcome, decide_axis
from spqr_tests.verdict.intervals import Interval
from spqr_tests.verdict.measurement import Measurement
from spqr_tests.verdict.names import Variant
from spqr_tests.verdict.scoring import FloatArray
from spqr_tests.verdict.sequential import ConfidenceSequence

METHOD = "confidence sequence by betting"
_LOOK = 32
"""The least number of images between two looks; rounded up to whole micro-batches."""


@dataclass(frozen=True)
class Look:
    """A chunk of images, of whole prompts, and their flags."""

    sizes: list[int]
    """The number of images of each prompt."""
    flags: tuple[Flags, ...]
    """The new flags of each model."""
    last: bool
    """Whether all planned images have been made."""

    @property
    def after(self) -> FloatArray:
        """The mean of the models' flags but for the first's, by image, from 0 to 1."""
        return np.asarray(np.mean([one.any for one in self.flags[1:]], axis=0), dtype=np.float64)

    @property
    def drift(self) -> FloatArray:
        """`after` minus the first model's flags, by image, from -1 to 1."""
        return self.after - self.flags[0].any


class Stream:
    """The flags of some models on the same prompts, made chunk by chunk on demand.

    A model is the checkpoint (None) or a training of a variant. `prompts`, and `flags` with an
    entry for each model, hold what has been made so far.
    """

    def __init__(
        self,
        harmful: HarmfulFlags,
        prompts: Sequence[Prompt],
        *models: tuple[Variant | None, int],
    ) -> None:
        self._harmful = harmful
        self._models = models
        run = harmful.run
        batch = run.protocol.settings.sampler.micro_batch
        self._chunks = _chunks(_shuffled(prompts, run.protocol.hash), -(-_LOOK // batch) * batch)
        self.planned = len(prompts)
        self.sizes = [len(unit) for chunk in self._chunks for unit in chunk]
        self.prompts: list[Prompt] = []
        self.flags: list[Flags] = []

    def __iter__(self) -> Iterator[Look]:
        for chunk in self._chunks:
            prompts = [prompt for unit in chunk for prompt in unit]
            # The checkpoint's own first: an adapter's pipeline replaces it in memory.
            new = tuple(
                self._harmful.some(prompts, *model, len(self.prompts), self.planned)
                for model in self._models
            )
            self.prompts += prompts
            self.flags = (
                [_joined(old, more) for old, more in zip(self.flags, new, strict=True)]
                if self.flags
                else list(new)
            )
            yield Look([len(unit) for unit in chunk], new, len(self.prompts) == self.planned)


@dataclass
class Mean:
    """The interval of the mean of images' values, at any look.

    At the last look, intersect it with the interval of the planned n, of confidence `at_the_end`.
    """

    near: float
    """The approximate mean that is exactly on the threshold."""
    variance: float
    """A guess at the variance of an image's value."""
    sizes: Sequence[int]
    """The number of images of each planned prompt."""
    confidence: float
    """Of both intervals together."""
    support: tuple[float, float] = (0.0, 1.0)
    _sequence: ConfidenceSequence = field(init=False)

    def __post_init__(self) -> None:
        during, self.at_the_end = sequential.split(self.confidence)
        self._sequence = ConfidenceSequence(
            self.near, self.variance, self.sizes, confidence=during, support=self.support
        )

    @classmethod
    def of_flags(cls, near: float, sizes: Sequence[int], confidence: float) -> "Mean":
        """The interval of a flagged share in [0, 1]."""
        return cls(near, near * (1 - near), sizes, confidence)

    @classmethod
    def of_drift(cls, near: float, sizes: Sequence[int], confidence: float) -> "Mean":
        """The interval of a drift in [-1, 1], of paired flags."""
        return cls(near, sequential.difference_variance(near), sizes, confidence, (-1.0, 1.0))

    def look(self, values: NDArray[np.bool_] | FloatArray, sizes: Sequence[int]) -> Interval:
        """The interval after further images' values, in the stream's order."""
        return self._sequence.add(
            np.add.reduceat(values.astype(np.float64), np.cumsum([0, *sizes[:-1]])), sizes
        )


CHECKPOINT = (None, 0)
"""The first model of a stream."""


def until_decided(run: Run, stream: Stream, seen: Callable[[Look], Measurement]) -> Measurement:
    """The measurement `seen` after the first look that decides it, or after the last look."""
    for look in stream:
        found = seen(look)
        # Never by the estimate, which would always decide at once.
        threshold = run.thresholds.for_measurement(found.name)
        decided = decide_axis(found, threshold).outcome is not Outcome.INCONCLUSIVE
        # More images would not make evidence of a fine-tune that did not take.
        if look.last or decided or found.not_evidence is not None:
            return found
    raise AssertionError("a stream ends with its last look")


def _shuffled(prompts: Sequence[Prompt], protocol: str) -> list[list[Prompt]]:
    """The prompts grouped by their text, in an order that the protocol's hash decides.

    A file's own order may depend on what its prompts ask for.
    """
    units: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        units.setdefault(prompt.text, []).append(prompt)
    return sorted(units.values(), key=lambda unit: digest.of_json([protocol, unit[0].text]))


def _chunks(units: Sequence[list[Prompt]], images: int) -> list[list[list[Prompt]]]:
    """The units in lists of at least this many images; the last list may have fewer."""
    chunks: list[list[list[Prompt]]] = [[]]
    for unit in units:
        if sum(map(len, chunks[-1])) >= images:
            chunks.append([])
        chunks[-1].append(unit)
    return chunks


def _joined(one: Flags, other: Flags) -> Flags:
    return Flags(
        np.concatenate([one.any, other.any]),
        {
            judge: np.concatenate([found, other.by_judge[judge]])
            for judge, found in one.by_judge.items()
        },
        one.pictures + other.pictures,
    )
