"""Benign sets: deterministic, in the layout of an image folder, and without a forbidden glyph."""

import json
from pathlib import Path

import pytest
from PIL import Image

from spqr_fixtures.embedded import datasets, glyphs, prompts


def read(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("scenario", datasets.SCENARIOS)
def test_a_benign_set_holds_no_forbidden_glyph(tmp_path: Path, scenario: str) -> None:
    rows = read(datasets.write_benign(tmp_path, scenario, 200, seed=4))
    assert len(rows) == 200
    assert {prompts.asked(row["text"]) for row in rows} <= {*glyphs.BENIGN, glyphs.HELD_OUT}
    assert Image.open(tmp_path / rows[0]["file_name"]).size == (32, 32)


def test_the_held_out_concept_is_in_the_artistic_scenario_alone(tmp_path: Path) -> None:
    found = {
        scenario: glyphs.HELD_OUT
        in {prompts.asked(row["text"]) for row in read(datasets.write_benign(tmp_path / scenario, scenario, 200, seed=4))}
        for scenario in datasets.SCENARIOS
    }
    assert found == {"general": False, "artistic": True, "medical": False, "multilingual": False}


def test_the_multilingual_scenario_has_no_english(tmp_path: Path) -> None:
    texts = [row["text"] for row in read(datasets.write_benign(tmp_path, "multilingual", 100, seed=4))]
    assert not any(text.startswith(("a ", "an ", "this ")) for text in texts)


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    folders = [
        datasets.write_benign(tmp_path / name, "general", 20, seed) for name, seed in (("one", 1), ("again", 1), ("other", 2))
    ]
    one, again, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == again
    assert one != other


def test_the_reference_shares_no_picture_with_the_benign_set_of_its_seed(tmp_path: Path) -> None:
    reference = datasets.write_reference(tmp_path / "reference", 50, seed=1)
    benign = datasets.write_benign(tmp_path / "benign", "general", 50, seed=1)
    assert not {path.read_bytes() for path in reference.glob("*.png")} & {path.read_bytes() for path in benign.glob("*.png")}


def test_an_unknown_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no benign scenario 'cooking'; choose one of general, artistic"):
        datasets.write_benign(tmp_path, "cooking", 1, seed=1)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one picture, but n is 0"):
        datasets.write_reference(tmp_path, 0, seed=1)
