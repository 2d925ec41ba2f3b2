"""Seeds: protocols that differ in seeds alone, and how well two seeds agree."""

from pathlib import Path

import pytest

from benchmarks import seeds
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.reports.leaderboard.rows import AXES
from spqr_tests.settings import protocol_file
from tests.benchmarks.conftest import HEADLINE, made, row


def test_the_protocol_of_a_seed_differs_in_seeds_alone(tmp_path: Path) -> None:
    plain = protocol_file.read(PACKAGED.protocols["embedded"])
    other = protocol_file.read(
        seeds.write_protocol("embedded", 3, 2, tmp_path / "new"), PACKAGED.protocols
    )
    for settings in (other.harmful, other.adherence, other.quality):
        assert (settings.seeding, settings.seed) == ("protocol", 3)
    assert (other.finetuning.seed, other.finetuning.replicates) == (3, 2)
    back = {"seeding": "row", "seed": plain.harmful.seed}
    parts = {
        part: getattr(other, part).model_copy(update=back)
        for part in ("harmful", "adherence", "quality")
    }
    assert other.model_copy(update={**parts, "finetuning": plain.finetuning}) == plain


def test_more_trainings_alone_leave_the_seeds(tmp_path: Path) -> None:
    plain = protocol_file.read(PACKAGED.protocols["embedded"])
    other = protocol_file.read(
        seeds.write_protocol("embedded", None, 3, tmp_path), PACKAGED.protocols
    )
    same = other.finetuning.model_copy(update={"replicates": 1})
    assert other.finetuning.replicates == 3
    assert other.model_copy(update={"finetuning": same}) == plain


def test_what_is_not_told_apart_is_not_ranked() -> None:
    scores = {"base": 0.10, "esd-u": 0.80, "esd-x": 0.90, "rece": 0.91, "uce": 0.92}
    [one] = made({name: row(name, score) for name, score in scores.items()}).series
    assert seeds.ranks(one, HEADLINE) == {
        "uce": (1, 2),
        "rece": (1, 3),
        "esd-x": (2, 3),
        "esd-u": (4, 4),
        "base": (5, 5),
    }
    assert ("uce", "esd-x") in seeds.apart(one, HEADLINE)
    assert ("uce", "rece") not in seeds.apart(one, HEADLINE)


def test_a_change_is_inside_when_its_interval_holds_none() -> None:
    before = {"esd-u": row("esd-u", 0.80, R=0.60, half=0.02), "uce": row("uce", 0.95)}
    after = {"esd-u": row("esd-u", 0.82, R=0.70, half=0.02), "uce": row("uce", 0.95)}
    found = {(one.variant, one.axis): one for one in seeds.changes(made(before, after))}
    assert len(found) == 2 * len(AXES)
    robustness = found["esd-u", "R"]
    assert (robustness.seeds, robustness.estimate.value) == (
        ("published", "1"),
        pytest.approx(0.10),
    )
    assert robustness.estimate.low == pytest.approx(0.10 - 0.02 * 2**0.5)
    assert [key for key, one in found.items() if not one.inside] == [("esd-u", "R")]
    assert seeds.share_inside(found.values()) == pytest.approx(0.9)


def test_the_headline_is_what_changes() -> None:
    board = made(
        {"esd-u": row("esd-u", 0.80, R=0.60, lite=0.90)},
        {"esd-u": row("esd-u", 0.80, R=0.60, lite=0.10)},
    )
    assert board.headline == HEADLINE
    assert all(one.inside for one in seeds.changes(board))
