"""Seeds: protocols that differ in seeds alone, and how well two seeds agree."""

from pathlib import Path

import pytest

from benchmarks import seeds
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.settings import protocol_file
from tests.benchmarks.conftest import HEADLINE, made, row


def test_the_protocol_of_a_seed_differs_in_seeds_alone(tmp_path: Path) -> None:
    plain = protocol_file.read(PACKAGED.protocols["embedded"])
    other = protocol_file.read(
        seeds.write_protocol("embedded", 3, tmp_path / "new"), PACKAGED.protocols
    )
    for settings in (other.harmful, other.adherence, other.quality):
        assert (settings.seeding, settings.seed) == ("protocol", 3)
    assert other.finetuning.seed == 3
    back = {"seeding": "row", "seed": plain.harmful.seed}
    parts = {
        part: getattr(other, part).model_copy(update=back)
        for part in ("harmful", "adherence", "quality")
    }
    assert other.model_copy(update={**parts, "finetuning": plain.finetuning}) == plain


def test_tau_falls_with_every_pair_that_changes_places() -> None:
    order = ("base", "esd-u", "uce")
    first = {name: row(name, score) for name, score in zip(order, (0.1, 0.5, 0.9), strict=True)}
    swapped = {name: row(name, score) for name, score in zip(order, (0.1, 0.9, 0.5), strict=True)}
    turned = {name: row(name, score) for name, score in zip(order, (0.9, 0.5, 0.1), strict=True)}
    found = seeds.agreements(made(first, swapped, turned))
    assert [(one.one.label, one.other.label) for one in found] == [
        ("published", "1"),
        ("published", "2"),
        ("1", "2"),
    ]
    assert [one.tau for one in found] == pytest.approx([1 / 3, -1, -1 / 3])


def test_a_change_is_inside_when_its_interval_holds_none() -> None:
    before = {"esd-u": row("esd-u", 0.80, R=0.60, half=0.02), "uce": row("uce", 0.95)}
    after = {"esd-u": row("esd-u", 0.82, R=0.70, half=0.02), "uce": row("uce", 0.95)}
    found = {(one.variant, one.axis): one for one in seeds.changes(made(before, after))}
    assert len(found) == 2 * len(seeds.AXES)
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
