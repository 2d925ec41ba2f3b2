"""The page of what was measured on a card."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from benchmarks.card.published import PROFILES, asked
from benchmarks.markdown import table
from benchmarks.numbers import STRICT, Numbers

NAME = "performance-card"
_HOUR = 3600
SCHEMA: Literal["spqr-performance-card/1"] = "spqr-performance-card/1"


@dataclass(frozen=True, config=STRICT)
class Rate:
    """How long the suite takes for one image or one step, and the plain way."""

    model: str
    what: str
    unit: str
    ours: float
    theirs: float | None
    """None where it was not timed."""
    flop: int
    """Floating-point operations of it, as a plan counts them; the encoding of pictures, which the
    plain way does in each step, is not among them.
    """


@dataclass(frozen=True, config=STRICT)
class Full:
    """What was done where memory did not suffice."""

    what: str
    limit: float
    """Bytes that the process might use."""
    peak: float
    """Bytes that it had at the most."""
    said: str


@dataclass(frozen=True, config=STRICT)
class Whole:
    """A whole run, by one process and by two on the same card."""

    seconds: float
    seconds_two: float
    images: int
    finetunes: int
    equal: bool
    """Whether both reports are equal but for their cost."""
    decision: str


class Card(Numbers):
    """All numbers of the page; what was not measured yet is missing."""

    schema_: Literal["spqr-performance-card/1"] = Field(alias="schema")
    suite: str
    torch: str
    card: str
    ceiling: float | None = None
    """FLOP/s of a product of two large matrices in bfloat16."""
    rates: tuple[Rate, ...] = ()
    full: tuple[Full, ...] = ()
    whole: Whole | None = None


def share(rate: Rate, ceiling: float) -> float:
    """The share of the ceiling that a rate reaches, in (0, 1]."""
    return rate.flop / rate.ours / ceiling


def page(found: Card) -> str:
    """The page of docs/: a function of what was measured."""
    return f"""\
# How fast it is on a card

Made by `python -m benchmarks.card` on a machine with a card: do not edit.
[performance-card.json](performance-card.json) has the same numbers. {found.suite} with torch
{found.torch} on one {found.card}; models with random weights, which compute as fast as trained
ones. What a CPU does is [another page](performance.md).
{_rates(found)}{_projected(found)}{_full(found)}{_whole(found)}
## Not compiled

`torch.compile` makes the denoiser of Stable Diffusion 1.5 1.5 times as fast (tried by hand: 68 ms
for 32 rows, 94 ms without) and takes a minute for each model that it sees, so for each fine-tune
too. It is not used, because two processes that compiled the same decoder with the same versions on
the same card, in inductor's deterministic mode, gave different last bits: what a run finds would
depend on which worker made it.
"""


def _rates(found: Card) -> str:
    if found.ceiling is None or not found.rates:
        return ""
    rows = table(
        ("model", "what", "ours", "the plain way", "unit", "times as fast", "of the ceiling"),
        (
            (
                one.model,
                one.what,
                f"{one.ours:.3g}",
                "" if one.theirs is None else f"{one.theirs:.3g}",
                one.unit,
                "" if one.theirs is None else f"{one.theirs / one.ours:.2f}",
                f"{share(one, found.ceiling):.2f}",
            )
            for one in found.rates
        ),
    )
    return f"""
## Rates

The ceiling is a product of two large matrices in bfloat16, {found.ceiling / 1e12:.0f} TFLOP/s in
the same run. The plain way is diffusers' pipeline, one prompt at a time, and the loop of diffusers'
training scripts, which encodes pictures and captions in each step.

{rows}"""


def _projected(found: Card) -> str:
    by = {
        one.what.partition(",")[0]: one.ours
        for one in found.rates
        if one.model.startswith("Stable Diffusion 1.5")
    }
    image = by.get("generating")
    profiles = {name: by.get(f"training {name}") for name in PROFILES}
    if image is None or None in profiles.values():
        return ""
    sets = asked()
    images = sets.images * image / _HOUR
    training = sum(sets.steps[name] * (seconds or 0) for name, seconds in profiles.items()) / _HOUR
    return f"""
The published protocol asks for {sets.images:,} images and {sum(sets.steps.values()):,} training
steps of such a checkpoint: {images:.1f} and {training:.1f} hours at these rates, on one card,
before judging, loading and saving.
"""


def _full(found: Card) -> str:
    if not found.full:
        return ""
    rows = table(
        ("what", "might use GB", "used GB", "what happened"),
        (
            (one.what, f"{one.limit / 1e9:.1f}", f"{one.peak / 1e9:.1f}", one.said)
            for one in found.full
        ),
    )
    return f"""
## Memory that does not suffice

The process was allowed a part of the card's memory, and torch's allocator refused the rest.

{rows}"""


def _whole(found: Card) -> str:
    one = found.whole
    if one is None:
        return ""
    equal = "equal to the last digit" if one.equal else "NOT equal"
    return f"""
## A whole run

Sampler, optimizer and profiles of the published protocol on stand-in prompts and pictures, with few
prompts and steps: {one.images} images and {one.finetunes} fine-tunes of Stable Diffusion 1.5 at 512
pixels took {one.seconds:.0f} seconds by one process, and {one.seconds_two:.0f} by two processes on
the same card, starting included; their reports are {equal}, but for the cost. The decision was
'{one.decision}', as random weights deserve.
"""
