"""What a judge's other thresholds would give, in report.json and report.html."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from spqr_tests.data.prompts import Prompt
from spqr_tests.judging.judges import JudgeDescription
from spqr_tests.reports import judge_thresholds
from spqr_tests.reports.images import Found, Model, Passed
from spqr_tests.verdict.names import Variant
from tests.reports.html.made import made

TUNED = Variant("standard", "general")
PROMPTS = tuple(Prompt(f"prompt {row}", row) for row in range(60))


def described(name: str, least: float = 0.0, **settings: Any) -> JudgeDescription:
    return JudgeDescription(name, "1", settings, name, least=least)


def found(before: np.ndarray, after: np.ndarray, others: np.ndarray, at: float = 0.5) -> Found:
    """`before` has the shape (n,), `after` and `others` (trainings, n); the judge is `scored`."""

    def images(scores: np.ndarray, other: np.ndarray) -> dict[int, Passed]:
        return {
            row: Passed(
                "",
                "",
                {
                    "scored": [bool(score > at), [], float(score)],
                    "other": [bool(flag), [], None],
                },
            )
            for row, (score, flag) in enumerate(zip(scores, other, strict=True))
        }

    made_of = {
        Model(ood=False, variant=TUNED, training=number, steps=None): images(*one)
        for number, one in enumerate(zip(after, others, strict=True))
    }
    point = Model(ood=False, variant=TUNED, training=0, steps=3)
    own = Model(ood=False, variant=None, training=0, steps=None)
    # No part of the curve.
    extra = images(np.ones(60), np.ones(60, dtype=bool))
    return {own: images(before, others[0]), point: extra, own._replace(ood=True): extra, **made_of}


def test_each_threshold_gives_what_judging_with_it_would() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random(60), rng.random((2, 60))
    others = rng.random((2, 60)) < 0.1
    (one,) = judge_thresholds.of(
        found(before, after, others),
        [described("scored", threshold=0.5), described("other")],
        PROMPTS,
        [TUNED],
    )
    assert (one.judge, one.threshold) == ("scored", 0.5)
    own, tuned = one.curves
    assert [curve.n for curve in one.curves] == [60, 120]
    assert len(own.points) == 19
    for mine, theirs in zip(own.points, tuned.points, strict=True):
        flags = (before > mine.threshold) | others[0], (after > mine.threshold) | others
        rates = [100 * flag.mean() for flag in flags]
        assert mine.harmfulness == pytest.approx(rates[0])
        assert theirs.harmfulness == pytest.approx(rates[1])
        assert theirs.drift == pytest.approx(rates[1] - rates[0])
        # Prompts have one image each before fine-tuning: as Clopper and Pearson's bounds.
        exact = stats.binomtest(int(flags[0].sum()), 60).proportion_ci(0.95, "exact")
        assert mine.low == pytest.approx(100 * exact.low, abs=3)
        assert mine.high == pytest.approx(100 * exact.high, abs=3)
        assert theirs.drift_low is not None
        assert theirs.drift_high is not None
        assert theirs.drift_low <= theirs.drift <= theirs.drift_high


def test_the_judges_own_threshold_is_one_of_them_and_none_is_below_its_floor() -> None:
    scores = np.linspace(0.2, 1, 60)
    (one,) = judge_thresholds.of(
        found(scores, scores[None], np.zeros((1, 60), dtype=bool), 0.33),
        [described("scored", least=0.2, threshold=0.33)],
        PROMPTS,
        [TUNED],
    )
    steps = [point.threshold for point in one.curves[0].points]
    assert steps == sorted(steps)
    assert steps[0] == 0.2
    assert 0.33 in steps
    assert all(point.drift == 0 for point in one.curves[1].points)


@pytest.mark.parametrize(
    "judge",
    [
        pytest.param(described("scored"), id="no threshold"),
        pytest.param(described("other", threshold=0.5), id="no scores"),
        pytest.param(described("scored", threshold=0.2), id="flags by another rule"),
        pytest.param(described("scored", threshold="half"), id="a threshold in words"),
    ],
)
def test_a_judge_whose_flags_are_not_its_scores_above_a_threshold_has_no_curve(
    judge: JudgeDescription,
) -> None:
    scores = np.linspace(0, 1, 60)
    flags = np.zeros((1, 60), dtype=bool)
    assert not judge_thresholds.of(found(scores, scores[None], flags), [judge], PROMPTS, [TUNED])


def test_images_that_a_run_left_out_are_left_out_of_both_sides() -> None:
    scores = np.linspace(0, 1, 60)
    made_of = found(scores, scores[None], np.zeros((1, 60), dtype=bool))
    tuned = next(images for model, images in made_of.items() if model.variant and not model.steps)
    for row in range(30, 60):
        del tuned[row]
    (one,) = judge_thresholds.of(made_of, [described("scored", threshold=0.5)], PROMPTS, [TUNED])
    assert [curve.n for curve in one.curves] == [60, 30]
    assert all(point.drift == 0 for point in one.curves[1].points)


def test_the_page_draws_it_and_says_it_in_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    curves = judge_thresholds.of(
        found(rng.random(60), rng.random((1, 60)), np.zeros((1, 60), dtype=bool)),
        [described("scored", threshold=0.5)],
        PROMPTS,
        [TUNED],
    )
    page = made(2, judge_thresholds=[one.model_dump() for one in curves]).html(tmp_path)
    assert "If scored had another threshold" in page
    assert "0.5 (its own)" in page
    own, tuned = (curve.points[9].harmfulness for curve in curves[0].curves)
    assert f"0.5: {own:.1f} before, {tuned:.1f} after; " in page
    assert "after standard x general (solid)" in page
