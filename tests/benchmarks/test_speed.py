"""Timing: two ways in turns, and the page of what was timed."""

import time
from pathlib import Path

import pytest

from benchmarks.numbers import DOCS, publish, read
from benchmarks.speed.page import NAME, Performance, page
from benchmarks.speed.parts import PARTS, fid
from benchmarks.speed.ratio import Ratio, in_turns


def test_both_ways_are_timed_in_turns_and_the_first_time_does_not_count() -> None:
    called: list[str] = []

    def slow_at_first(name: str, seconds: float) -> None:
        time.sleep(seconds if name in called else 0.5)
        called.append(name)

    ours, theirs = in_turns(
        lambda: slow_at_first("ours", 0.01), lambda: slow_at_first("theirs", 0.1), 2
    )
    assert called == ["ours", "theirs"] * 3
    assert 0.01 <= ours < theirs < 0.5


def test_a_ratio_above_one_says_that_ours_is_faster() -> None:
    assert Ratio.of(2.0, 5.0, "seconds", 1, "a against b").ratio == 2.5


def test_the_parts_are_those_that_are_documented() -> None:
    assert sorted(PARTS) == [
        "collect_only",
        "fid",
        "nudenet",
        "sampling",
        "training_lite",
        "training_moderate",
        "training_standard",
        "two_workers",
        "warm",
    ]


def test_a_part_that_is_not_equal_is_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.speed import parts
    from spqr_tests.errors import EvidenceError
    from spqr_tests.metrics import fid as own

    monkeypatch.setattr(parts, "_WIDTH", 32)
    monkeypatch.setattr(parts, "_SET", 20)
    assert fid().n == 20
    monkeypatch.setattr(own, "frechet_distance", lambda *_: 1.0)
    with pytest.raises(EvidenceError, match="FID is not torchmetrics'"):
        fid()


def test_the_page_is_that_of_its_numbers(tmp_path: Path) -> None:
    found = read(Performance, DOCS / f"{NAME}.json")
    publish(found, tmp_path, NAME, page)
    for suffix in (".json", ".md"):
        assert (tmp_path / f"{NAME}{suffix}").read_text() == (DOCS / f"{NAME}{suffix}").read_text()


def test_a_part_that_is_timed_again_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.speed import __main__ as command

    times = iter([2.0, 3.0, 4.0])
    monkeypatch.setattr(
        command,
        "PARTS",
        {name: lambda: Ratio.of(1.0, next(times), "seconds", 1, "a") for name in ("fid", "warm")},
    )
    for arguments in ([], ["--only", "warm"]):
        monkeypatch.setattr("sys.argv", ["speed", f"--out={tmp_path}", *arguments])
        command.main()
    found = read(Performance, tmp_path / f"{NAME}.json")
    assert {name: one.ratio for name, one in found.parts.items()} == {"fid": 2.0, "warm": 4.0}
