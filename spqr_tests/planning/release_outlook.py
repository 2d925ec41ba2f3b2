"""The outlook of the whole release: how often a sound checkpoint passes all cases together."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from spqr_tests.axes.uptake import prompts_of
from spqr_tests.generation import finetuning
from spqr_tests.planning.flops import Flops
from spqr_tests.planning.plan import Proposal, ReleaseOutlook
from spqr_tests.run.run import Run
from spqr_tests.verdict import power, release_power
from spqr_tests.verdict.release_power import Design

_OUTCOMES = 200
_SEARCHED = 60
"""Simulated runs for the answer, and for each proposal on the way to it."""
TRAININGS = (1, 2, 3, 5, 8)
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_MOST_ROWS = 1_000_000
"""Flags that one simulation may hold; more prompts are simulated with fewer runs."""


@dataclass(frozen=True)
class Costs:
    """What a run costs, in FLOPs."""

    image: float
    """A generated image."""
    trainings: float
    """One training of every variant that is trained, and its images of benign prompts."""
    models: int
    """How many variants are trained."""
    beside: int
    """Images that do not depend on the number of harmful prompts."""
    each: float = 1.0
    """Images per prompt as the simulation counts prompts: more where a prompt has several."""

    def images(self, prompts: int) -> int:
        """The harmful images of one model."""
        return round(prompts * self.each)

    def of(self, prompts: int, trainings: int) -> float:
        """The cost of so many harmful prompts and trainings of each variant."""
        images = self.images(prompts) * (1 + self.models * trainings) + self.beside
        return images * self.image + trainings * self.trainings


def costs_of(run: Run, flops: Flops, beside: int, counted: int) -> Costs:
    """What a run's images and trainings cost, whether or not the store holds them.

    `beside` are images of other prompts; `counted` is what the harmful prompts count as.
    """
    protocol, trainings = run.protocol, 0.0
    image = flops.generation(protocol.settings.sampler.numbers.guidance)
    for variant in run.trained:
        profile = protocol.settings.profiles[variant.profile]
        shared, pictures = protocol.settings.finetuning, protocol.scenarios[variant.scenario].pairs
        seen = finetuning.seen(profile, shared, len(pictures))
        trainings += seen * flops.training(profile, profile.optimizer_of(shared).batch)
        trainings += image * len({one for rows in prompts_of(run, variant) for one in rows})
    return Costs(
        image,
        trainings,
        len(run.trained),
        beside,
        len(protocol.harmful.rows) / counted,
    )


def of(design: Design, costs: Costs) -> ReleaseOutlook:
    """What the run can decide as a whole, and what would make it decide more."""
    passes = release_power.simulate(design, _runs(design, _OUTCOMES))
    worst = min(passes, key=lambda name: float(passes[name].mean()))
    sound = release_power.simulate(design, _runs(design, _OUTCOMES), design.sound)
    count = _count(design)
    return ReleaseOutlook(
        chance=release_power.together(passes),
        sound=release_power.together(sound),
        cases=len(passes),
        bottleneck=worst,
        bottleneck_chance=float(passes[worst].mean()),
        images=costs.images(design.prompts),
        trainings=count,
        proposal=_cheapest(design, costs),
        next_training=_with(design, costs, design.prompts, count + 1),
        same_in_prompts=_with(design, costs, _prompts_for(design, costs, count), count),
    )


def _runs(design: Design, wanted: int) -> int:
    return max(40, min(wanted, _MOST_ROWS // (design.prompts * (1 + _count(design)))))


def _prompts_for(design: Design, costs: Costs, trainings: int) -> int:
    """The number of prompts that costs as much as one more training of each variant."""
    more = costs.of(design.prompts, trainings + 1) - costs.of(design.prompts, trainings)
    each = (1 + costs.models * trainings) * costs.image * costs.each
    return design.prompts + round(more / each) if each else design.prompts


def _with(design: Design, costs: Costs, prompts: int, trainings: int) -> Proposal:
    changed = design.with_prompts(prompts).with_trainings(trainings)
    passes = release_power.simulate(changed, _runs(changed, _SEARCHED))
    return Proposal(
        images=costs.images(prompts),
        trainings=trainings,
        chance=release_power.together(passes),
        cost=costs.of(prompts, trainings) / (costs.of(design.prompts, _count(design)) or 1.0),
    )


def _count(design: Design) -> int:
    return max((one.count for one in design.trained.values() if one is not None), default=1)


def _cheapest(design: Design, costs: Costs) -> Proposal | None:
    """The cheapest numbers of prompts and trainings with which the checkpoint mostly passes."""
    found: list[Proposal] = []
    most = len(FACTORS) - 1
    for trainings in TRAININGS if costs.models else (1,):
        made = cache(partial(_at, design, costs, trainings))
        if made(most).chance < power.POWER:
            continue
        low, high = -1, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if made(middle).chance >= power.POWER else (middle, high)
        found.append(made(high))
    return min(found, key=lambda one: one.cost, default=None)


def _at(design: Design, costs: Costs, trainings: int, step: int) -> Proposal:
    prompts = int(np.ceil(design.prompts * FACTORS[step]))
    return _with(design, costs, prompts, trainings)
