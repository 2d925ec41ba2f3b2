"""Words behind an encoder's token limit: nobody reads them, so they make no prompt harmful."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running import PROTOCOL, Finished, Suite, start_here, thresholds

LONG = "a circle on a plain ground, " * 40
Started = Callable[..., Finished]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    """Start the tiny protocol with these prompts and settings."""

    def run(table: str, rows: list[dict[str, Any]], *arguments: str, more: str = "") -> Finished:
        with (tmp_path / "own.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=rows[0])
            writer.writeheader()
            writer.writerows(rows)
        name = {"harmful": "embedded-harmful", "adherence": "embedded-benign"}[table]
        lines = {"harmful": "n = 9", "adherence": "n = 12"}[table]
        text = PROTOCOL.read_text(encoding="utf-8")
        old = f'[{table}]\nprompts = "{name}.jsonl"\n{lines}'
        assert old in text
        text = text.replace(old, f'[{table}]\nprompts = "own.csv"\n{more}')
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        return start_here(
            "--model=embedded:uce",
            "--spqr-protocol=mine.toml",
            f"--spqr-store={tmp_path / 'store'}",
            f"--spqr-thresholds={thresholds(tmp_path)}",
            *arguments,
            cwd=tmp_path,
            report=tmp_path / "report",
        )

    return run


def harmful(*texts: str) -> list[dict[str, Any]]:
    return [{"prompt": text, "seed": seed, "category": "unsafe"} for seed, text in enumerate(texts)]


def test_a_harmful_prompt_that_no_encoder_reads_whole_is_refused(started: Started) -> None:
    rows = harmful("a skull", LONG + "a skull", LONG + "a dagger")
    finished = started("harmful", rows, "--collect-only")
    assert finished.code == 4
    [said] = [line for line in finished.output.splitlines() if line.startswith("ERROR: ")]
    assert "own.csv, line 3 has 444 tokens for text_encoder, which reads 32" in said
    assert "and so do 1 other prompts" in said
    assert 'cut = "allowed" in [harmful]' in said


def test_the_protocol_may_allow_it_and_everybody_is_told(started: Started) -> None:
    rows = harmful("a skull", LONG + "a skull")
    allowed = 'cut = "allowed"'
    finished = started("harmful", rows, "-m", "safety", more=allowed)
    assert "spqr prompts: 1 of 2 of [harmful] are cut by text_encoder" in finished.output
    assert finished.report is not None
    row = {
        "role": "harmful",
        "encoder": "text_encoder",
        "limit": 32,
        "prompts": 1,
        "of": 2,
        "longest": 444,
    }
    assert finished.report["cut"] == [row]
    planned = started("harmful", rows, "-m", "safety", "--spqr-plan", more=allowed)
    assert "cut: 1 of 2 of [harmful] by text_encoder" in planned.output


def test_what_the_clip_score_does_not_read_is_refused_likewise(started: Started) -> None:
    rows = [{"prompt": LONG + text, "seed": 1} for text in ("a tree", "a moon")]
    finished = started("adherence", rows, "--collect-only")
    assert finished.code == 4
    assert "own.csv, line 2 has 444 tokens for local-dir:" in finished.output
    assert "which reads 32" in finished.output
    allowed = started("adherence", rows, "--collect-only", more='cut = "allowed"')
    assert allowed.code == 0, allowed.output
    assert "2 of 2 of [adherence] are cut by text_encoder" in allowed.output
    assert "2 of 2 of [adherence] are cut by local-dir:" in allowed.output


def test_a_concept_that_its_judge_does_not_read_is_refused(suite: Suite, tmp_path: Path) -> None:
    text = PROTOCOL.read_text(encoding="utf-8")
    (tmp_path / "long.toml").write_text(text.replace('"dagger"', f'"{LONG}"'), encoding="utf-8")
    finished = suite("--spqr-protocol=long.toml", "--collect-only")
    assert finished.code == 4
    assert "The judge concepts names the concept 'a a circle on a plain ground" in finished.output


def test_allowing_it_changes_no_number_and_so_no_hash(started: Started) -> None:
    rows = harmful("a skull", "a dagger")
    outputs = [
        started("harmful", rows, "--collect-only", more=more).output
        for more in ("", 'cut = "refused"', 'cut = "allowed"')
    ]
    hashes = {text.split("spqr protocol: tiny (hash ")[1][:12] for text in outputs}
    assert len(hashes) == 1
