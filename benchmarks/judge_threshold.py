"""The concept judge's threshold: what others would give on the images of the leaderboard.

    python -m benchmarks.judge_threshold

reads docs/leaderboard.json and the images of the leaderboard's runs from their store, generates
nothing, and writes docs/judge-threshold.json and docs/judge-threshold.md: harmfulness and SPQR by
threshold, and where the ranking changes. The other judges keep their thresholds.
"""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import stats

from benchmarks import leaderboard
from benchmarks.board import Board, read
from benchmarks.markdown import table
from benchmarks.numbers import DOCS
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.generation import generations
from spqr_tests.generation.generations import ImageSource
from spqr_tests.generation.sampling import Sampler
from spqr_tests.generation.variants import Variants
from spqr_tests.judging import judging
from spqr_tests.judging.judges import Judge
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.metrics.dual_encoder import DualEncoders
from spqr_tests.reports.leaderboard.rows import Row, known
from spqr_tests.run import protocols, sources
from spqr_tests.run.protocols import LoadedProtocol
from spqr_tests.run.user_data import UserData
from spqr_tests.settings.judges import ConceptSettings
from spqr_tests.store import device
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from spqr_tests.verdict import scoring
from spqr_tests.verdict.names import Variant

NAME = "judge-threshold"
SCHEMA: Literal["spqr-judge-threshold/1"] = "spqr-judge-threshold/1"
THRESHOLDS = tuple(tenth / 10 for tenth in range(1, 10))
Booleans = NDArray[np.bool_]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Point(_Part):
    """What one threshold gives for one control."""

    threshold: float
    before: float
    """Harmfulness, in percent."""
    after: float
    """The same after the headline's fine-tune."""
    spqr: float
    """In [0, 1]."""


class Curve(_Part):
    """One control by threshold."""

    variant: str
    between: float
    """The percentage of its images with a weight between the outermost thresholds."""
    points: tuple[Point, ...]

    def at(self, threshold: float) -> Point:
        """The point of one threshold; `KeyError` where there is none."""
        return {point.threshold: point for point in self.points}[threshold]


class Curves(_Part):
    """Every control under one protocol, whose concept judge has `threshold`."""

    schema_: Literal["spqr-judge-threshold/1"] = Field(alias="schema")
    protocol: str
    hash: str
    headline: str
    judge: str
    threshold: float
    n: int
    curves: tuple[Curve, ...]

    def tau(self, threshold: float) -> float:
        """Kendall's tau-b between the rankings at this and at the own threshold, in [-1, 1]."""
        own, other = (
            [curve.at(one).spqr for curve in self.curves] for one in (self.threshold, threshold)
        )
        return float(stats.kendalltau(own, other).statistic)

    def swapped(self, threshold: float) -> list[tuple[str, str]]:
        """The pairs that change places, each in the order of the protocol's own threshold."""
        pairs = []
        for one, other in combinations(self.curves, 2):
            first, second = sorted((one, other), key=lambda curve: -curve.at(self.threshold).spqr)
            if second.at(threshold).spqr > first.at(threshold).spqr:
                pairs.append((first.variant, second.variant))
        return pairs


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=leaderboard.STORE,
        help="the leaderboard's (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DOCS,
        help="the folder of leaderboard.json, where the two files go (default: docs)",
    )
    asked = parser.parse_args()
    board = read(asked.out / f"{leaderboard.NAME}.json")
    store = Store(asked.store, secrets.token_hex(8))
    try:
        found = measured(board, store)
    except (InputError, EvidenceError) as error:
        sys.exit(str(error))
    finally:
        store.forget_failures()
    text = json.dumps(
        found.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False, allow_nan=False
    )
    (asked.out / f"{NAME}.json").write_text(text + "\n", encoding="utf-8")
    (asked.out / f"{NAME}.md").write_text(
        page(Curves.model_validate_json(text), board), encoding="utf-8"
    )


def measured(board: Board, store: Store) -> Curves:
    """The curves of the published series of a board, from the images in its store.

    `InputError` where the store lacks images, or where the protocol has changed.
    """
    on = device.resolve("auto")
    first = sources.checkpoint(
        PACKAGED, f"{sources.EMBEDDED}{board.published.rows[0].model}", Path()
    )
    protocol = protocols.load(PACKAGED, board.protocol, store, on, first.settled)
    if protocol.hash != board.published.protocol:
        raise InputError(
            f"The leaderboard has the protocol hash {board.published.protocol}, but"
            f" {board.protocol} now has {protocol.hash}: run python -m benchmarks.leaderboard"
            " first."
        )
    name, settings = concept_judge(protocol)
    own = UserData(protocol.path.parent, protocol.settings.data)
    encoder = DualEncoders(on, lambda named: sources.encoder(PACKAGED, named, own)).get(
        settings.encoder, settings.pretrained
    )
    # At the threshold 0 the judge gives the weight of every forbidden concept as a reason, so that
    # judging once is enough for all thresholds.
    scale = ConceptJudge(name, settings.model_copy(update={"threshold": 0.0}), encoder)
    return Curves(
        schema_=SCHEMA,
        protocol=board.protocol,
        hash=protocol.hash,
        headline=board.headline,
        judge=name,
        threshold=settings.threshold,
        n=len(protocol.harmful.rows),
        curves=tuple(
            _curve(row, board.headline, _Stored(row.model, protocol, store, on), scale)
            for row in board.published.rows
        ),
    )


def concept_judge(protocol: LoadedProtocol) -> tuple[str, ConceptSettings]:
    """The protocol's concept judge; `InputError` unless there is one."""
    found = [
        (name, one)
        for name, one in protocol.settings.judges.items()
        if isinstance(one, ConceptSettings)
    ]
    if len(found) != 1:
        raise InputError(
            f"The protocol {protocol.settings.name} has {len(found)} concept judges; expected one."
        )
    return found[0]


class _Stored:
    """One control's images, all from the store, and what the judges flag in them."""

    def __init__(self, variant: str, protocol: LoadedProtocol, store: Store, on: str) -> None:
        checkpoint = sources.checkpoint(PACKAGED, f"{sources.EMBEDDED}{variant}", Path())
        self._variant, self.protocol, self._store, self._cost = variant, protocol, store, Cost()
        # Nothing is trained here, so the callback that admits a training is never called.
        self._variants = Variants(
            checkpoint,
            checkpoint.fingerprint,
            protocol.settings,
            on,
            store,
            self._cost,
            _quiet,
            lambda _: None,
        )

    def before(self, scale: Judge) -> tuple[Booleans, NDArray[np.float64]]:
        """What the other judges flag in the control's images, and the forbidden weights, both (n,).

        `EvidenceError` where the weights do not give what the judge of `scale` flagged.
        """
        return self._looked_at(self._variants.source(), scale)

    def after(
        self, headline: str, training: int, scale: Judge
    ) -> tuple[Booleans, NDArray[np.float64]]:
        """The same for one training of the fine-tune PROFILE-SCENARIO, from 0.

        `InputError` where the store lacks it.
        """
        variant = Variant.of(headline)
        benign = self.protocol.scenarios[variant.scenario]
        source = self._variants.stored(variant, benign, training)
        if source is None:
            raise self._missing()
        return self._looked_at(source, scale)

    def _looked_at(self, source: ImageSource, scale: Judge) -> tuple[Booleans, NDArray[np.float64]]:
        def refuse() -> Sampler:
            raise self._missing()

        store, cost = self._store, self._cost
        kept = replace(source, sampler=refuse)
        images = generations.generate(
            store, kept, self.protocol.harmful.rows, cost, _quiet, self._variant
        )
        judges, name = self.protocol.judges, scale.describe().name
        flags = judging.judge(store, judges, images, cost, _quiet, self._variant).flags
        weighed = judging.judge(store, [scale], images, cost, _quiet, self._variant)
        weights = np.array(
            [sum(share for _, share in one.reasons) for one in weighed.by_judge[name]]
        )
        threshold = concept_judge(self.protocol)[1].threshold
        if not np.array_equal(weights > threshold, flags.by_judge[name]):
            raise EvidenceError(
                f"{self._variant}: at {threshold}, the weights do not agree with the flags of the"
                f" judge {name}."
            )
        others = [found for judge, found in flags.by_judge.items() if judge != name]
        return np.logical_or.reduce([np.zeros(len(images), dtype=bool), *others]), weights

    def _missing(self) -> InputError:
        return InputError(
            f"The store {self._store.folder} lacks images of {self._variant}: run python -m"
            " benchmarks.leaderboard on it first."
        )


def _quiet(label: str, done: int, total: int) -> None:
    del label, done, total


def _curve(row: Row, headline: str, stored: _Stored, scale: Judge) -> Curve:
    other_before, before = stored.before(scale)
    trainings = range(len(row.cell(headline).trainings))
    looks = [stored.after(headline, training, scale) for training in trainings]
    # All trainings have the same number of images.
    other_after, after = (np.concatenate(one) for one in zip(*looks, strict=True))
    score = stored.protocol.settings.score

    def harmfulness(others: Booleans, weights: NDArray[np.float64], at: float) -> float:
        return scoring.harmfulness(int((others | (weights > at)).sum()), len(weights))

    points = []
    for at in THRESHOLDS:
        h_before, h_after = (
            harmfulness(other_before, before, at),
            harmfulness(other_after, after, at),
        )
        robustness = scoring.ROBUSTNESS[score.robustness](h_after - h_before)
        kept = known(row.adherence).value, known(row.quality).value
        axes = (scoring.safety(h_before), *kept, robustness)
        points.append(
            Point(
                threshold=at,
                before=h_before,
                after=h_after,
                spqr=scoring.spqr(*axes, score.weights),
            )
        )
    both = np.concatenate([before, after])
    between = 100 * float(((both > THRESHOLDS[0]) & (both <= THRESHOLDS[-1])).mean())
    return Curve(variant=row.model, between=between, points=tuple(points))


def page(found: Curves, board: Board) -> str:
    """The page of docs/: a function of the curves and of the board alone."""
    order = sorted(found.curves, key=lambda curve: -curve.at(found.threshold).spqr)
    header = [f"**{at:.1f}**" if at == found.threshold else f"{at:.1f}" for at in THRESHOLDS]

    def by_threshold(said: Callable[[Point], str]) -> str:
        return table(
            ("variant", *header),
            ((f"`{curve.variant}`", *(said(curve.at(at)) for at in THRESHOLDS)) for curve in order),
        )

    changes = table(
        ("threshold", "Kendall's tau", "pairs that change places"),
        (
            (f"{at:.1f}", f"{found.tau(at):.3f}", _pairs(found.swapped(at), board))
            for at in THRESHOLDS
            if at != found.threshold
        ),
    )
    between = ", ".join(f"`{curve.variant}` {curve.between:.1f}" for curve in order)
    profile, scenario = found.headline.split("-", 1)
    return f"""\
# The concept judge's threshold

Made by `python -m benchmarks.judge_threshold` (or `tox -e judge-threshold`): do not edit.
[judge-threshold.json](judge-threshold.json) has the same numbers unrounded. The images of
[the leaderboard](leaderboard.md) are judged again with other thresholds of the judge
`{found.judge}`, whose own is {found.threshold}. The other judges, P and Q do not change.
Protocol `{found.protocol}`, hash {found.hash}; n = {found.n} harmful prompts;
fine-tune {profile} x {scenario}, all its trainings together.

## SPQR by threshold

{by_threshold(lambda point: f"{point.spqr:.3f}")}
## Harmful images before and after, in percent

{by_threshold(lambda point: f"{point.before:.1f} / {point.after:.1f}")}
## Where the ranking changes

Compared with the ranking at {found.threshold}. `~` marks a pair whose intervals overlap there: the
leaderboard cannot distinguish it anyway.

{changes}
What another threshold can change at most is the percentage of a variant's images, before and after
together, whose forbidden weight is between {THRESHOLDS[0]} and {THRESHOLDS[-1]}: {between}.
"""


def _pairs(pairs: Sequence[tuple[str, str]], board: Board) -> str:
    def said(first: str, second: str) -> str:
        above, below = (
            board.published.row(one).axis("SPQR", board.headline) for one in (first, second)
        )
        return f"`{first}` and `{second}`{' ~' if below.high >= above.low else ''}"

    return ", ".join(said(*pair) for pair in pairs) or "none"


if __name__ == "__main__":
    main()
