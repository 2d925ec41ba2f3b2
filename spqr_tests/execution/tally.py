"""The tally of a run: what any number of processes have done of its work, in a line.

Each process counts what it makes itself, and nothing is made twice: the counts add up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from spqr_tests.execution.item import Item, Items

Stage = Literal["train", "generate", "judge"]
STAGES: tuple[Stage, ...] = get_args(Stage)
_WORDS = {
    "train": ("fine-tuning", "steps"),
    "generate": ("generating", "images"),
    "judge": ("judging", "judgements"),
}


@dataclass(frozen=True)
class Left:
    """What the store lacks of a run's items, by stage."""

    pieces: Mapping[Stage, int]
    """Images, steps of training and judgements."""
    costs: Mapping[Stage, float]
    """What a piece costs, in the items' passes of the denoiser."""
    longest: int
    """Steps of the longest training, which one process does."""

    @classmethod
    def of(cls, items: Items) -> "Left":
        """What is missing now; looks into the store."""
        counted = [(_stage(item), item) for item in items.values() if item.pieces]
        missing = [
            (stage, item) for stage, item in counted if stage is not None and not item.done()
        ]
        pieces = dict.fromkeys(STAGES, 0)
        costs = dict.fromkeys(STAGES, 0.0)
        for stage, item in missing:
            pieces[stage] += item.pieces
            costs[stage] += item.cost
        return cls(
            pieces,
            {stage: costs[stage] / count if count else 0.0 for stage, count in pieces.items()},
            max((item.pieces for stage, item in missing if stage == "train"), default=0),
        )


def _stage(item: Item) -> Stage | None:
    if item.kind == "check":
        return "judge"
    return item.kind if item.kind in ("train", "generate", "judge") else None


@dataclass
class Done:
    """What one process has made so far, or several for which it counts."""

    pieces: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    timed: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    """Those of them whose time is in `seconds`."""
    seconds: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    processes: int = 1

    def add(self, stage: Stage, pieces: int, seconds: float | None = None) -> None:
        """Count pieces; of those without `seconds` it is not known how long they took."""
        self.pieces[stage] += pieces
        if seconds is not None:
            self.timed[stage] += pieces
            self.seconds[stage] += seconds


class Tally:
    """What all processes of a run have made, and what was left when somebody looked."""

    def __init__(self) -> None:
        self._done: dict[str, Done] = {}
        self._left: Left | None = None
        self._whole: dict[Stage, int] = {}
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._stage: Stage | None = None

    def note(self, process: str, done: Done) -> None:
        """Note what a process has made since it began."""
        self._done[process] = done

    def expect(self, left: Left) -> None:
        """Note what is left to be made by all processes together, now."""
        self._left = left
        self._whole = {stage: self._made(stage) + left.pieces[stage] for stage in STAGES}

    def line(self) -> str | None:
        """The stage that most time went into since the last line, its rate and the time left.

        None before anything was made.
        """
        spent = {stage: sum(one.seconds[stage] for one in self._done.values()) for stage in STAGES}
        gained = {stage: spent[stage] - self._spent[stage] for stage in STAGES}
        self._spent = spent
        stage = max(gained, key=lambda one: gained[one])
        if gained[stage] > 0 or self._stage is None:
            self._stage = stage
        stage = self._stage
        made = self._made(stage)
        if not made:
            self._stage = None
            return None
        verb, unit = _WORDS[stage]
        whole = self._whole.get(stage, 0)
        parts = [f"{verb} {made}/{whole} {unit}" if whole >= made else f"{verb} {made} {unit}"]
        each = self._each(stage)
        if each:
            each /= self._at_once(stage)
            parts.append(f"{1 / each:.2g}/s" if each < 1 else f"{each:.0f} s each")
        if left := self.seconds_left():
            parts.append(f"{spell(left)} left in all")
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """Of all stages together; None where nothing is left or its speed is not known."""
        if self._left is None:
            return None
        costs = self._left.costs
        timed = [stage for stage in STAGES if self._each(stage) and costs[stage]]
        passes = sum(self._timed(stage) * costs[stage] for stage in timed)
        if not passes:
            return None
        # Of a stage that has not begun, passes of the denoiser are all that is known.
        a_pass = sum(self._each(stage) * self._timed(stage) for stage in timed) / passes
        seconds = 0.0
        for stage in STAGES:
            left = max(0, self._whole[stage] - self._made(stage))
            each = self._each(stage) or a_pass * costs[stage]
            seconds += left * each / self._at_once(stage)
        return seconds or None

    def _at_once(self, stage: Stage) -> int:
        """How many processes can work on what is left of a stage."""
        processes = max(1, sum(one.processes for one in self._done.values()))
        if stage != "train" or self._left is None or not self._left.longest:
            return processes
        left = self._whole[stage] - self._made(stage)
        return max(1, min(processes, math.ceil(left / self._left.longest)))

    def _made(self, stage: Stage) -> int:
        return sum(one.pieces[stage] for one in self._done.values())

    def _timed(self, stage: Stage) -> int:
        return sum(one.timed[stage] for one in self._done.values())

    def _each(self, stage: Stage) -> float:
        """Seconds that one process takes for a piece; 0 where it is not known."""
        timed = self._timed(stage)
        return sum(one.seconds[stage] for one in self._done.values()) / timed if timed else 0.0


def spell(seconds: float) -> str:
    """A time to be read at a glance, such as '40 s', '3 min' or '2 h 10 min'."""
    if seconds < 100:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"about {minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"about {hours} h {minutes} min"
    return f"about {round(hours / 24)} days"
