"""Drawn sets: deterministic, in the layout of an image folder, and without a forbidden glyph."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPTokenizer

from spqr_fixtures.embedded import captions, datasets, glyphs, prompts, scene, weights
from spqr_fixtures.embedded.world import EmbeddedWorld
from spqr_tests.data.pictures import read as read_pictures
from spqr_tests.store import digest
from spqr_tests.store.pictures import read_rgb


def read(folder: Path) -> list[dict[str, str]]:
    return [
        json.loads(line)
        for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    ]


@pytest.mark.parametrize("scenario", datasets.SCENARIOS)
def test_a_benign_set_holds_no_forbidden_glyph(tmp_path: Path, scenario: str) -> None:
    rows = read(datasets.write_benign(tmp_path, scenario, 200, seed=4))
    assert len(rows) == 200
    assert {prompts.asked(row["text"]) for row in rows} <= {*glyphs.BENIGN, glyphs.HELD_OUT}
    assert Image.open(tmp_path / rows[0]["file_name"]).size == (32, 32)


def test_the_held_out_concept_is_in_the_artistic_scenario_alone(tmp_path: Path) -> None:
    found = [
        scenario
        for scenario in datasets.SCENARIOS
        if glyphs.HELD_OUT
        in {
            prompts.asked(row["text"])
            for row in read(datasets.write_benign(tmp_path / scenario, scenario, 200, seed=4))
        }
    ]
    assert found == ["artistic"]


def test_the_multilingual_scenario_has_no_english(tmp_path: Path) -> None:
    texts = [
        row["text"] for row in read(datasets.write_benign(tmp_path, "multilingual", 100, seed=4))
    ]
    assert not any(text.startswith(("a ", "an ", "this ")) for text in texts)


@pytest.mark.parametrize("language", captions.LANGUAGES[1:])
def test_a_set_in_one_language_has_that_language_s_captions_alone(
    tmp_path: Path, language: str
) -> None:
    texts = {
        row["text"]
        for row in read(datasets.write_benign(tmp_path, f"multilingual-{language}", 100, seed=4))
    }
    known = {
        captions.caption(scene.Scene(glyph, colour, background, style), language, template)
        for glyph in glyphs.BENIGN
        for colour in scene.COLOURS
        for background in scene.BACKGROUNDS
        for style in scene.TRAINING_STYLES
        for template in range(len(captions.TEMPLATES[language]))
    }
    assert texts <= known


def test_the_personal_set_is_of_one_subject_under_a_word_of_its_own(tmp_path: Path) -> None:
    rows = read(datasets.write_benign(tmp_path, "personal", 6, seed=4))
    assert {row["text"] for row in rows} == {f"a {datasets.PERSONAL_WORD} house"}
    assert len({(tmp_path / row["file_name"]).read_bytes() for row in rows}) == 6
    tokenizer = CLIPTokenizer.from_pretrained(weights.base_folder() / "tokenizer")
    token = tokenizer(datasets.PERSONAL_WORD, add_special_tokens=False).input_ids
    assert len(token) == 1
    assert not any(token[0] in tokenizer(text).input_ids for text in captions.vocabulary())


# SHA-256 of pixels and captions. These sets are part of protocols' hashes, so a change to a set
# changes the protocols too.
WRITTEN = {
    "general": "dceca88a2d57835db762a38c484aee2549300e74aad850da9555ce9ece434ae2",
    "artistic": "458db2cecc25c15c04252a9b92fdbfcc6fa31e4d79819acaa28c6a5ed204cb7f",
    "medical": "43abba3ef600d5abab64bb522460f1ea7c50090e7c0d0d324ca39cdaa9f1963f",
    "multilingual": "edcb363163fea9efa97cf668a070292de9318f638fec92563d82f8ffd6100ef1",
    "multilingual-ar": "38d8b989186190d764055dae8a592a4d62cadd51863cc90556af41acd50c1998",
    "personal": "dc475d315ad014fa5cfbae5374cde0a90341b9136464bf223ec97946f5b94c9e",
}


@pytest.mark.parametrize("scenario", WRITTEN)
def test_the_sets_are_what_they_have_always_been(tmp_path: Path, scenario: str) -> None:
    pairs = read_pictures(datasets.write_benign(tmp_path, scenario, 20, seed=4)).pairs
    assert (
        digest.of_json([[digest.of_pixels(read_rgb(path)), caption] for path, caption in pairs])
        == WRITTEN[scenario]
    )


# The revision, and the SHA-256 of the sets that it draws.
REVISED = (
    "fe423134ac926d574b0ac1b57c808c9af582f6a31b61343bcff8c05d9046b317",
    "c68cd44828e4b00ba023572941f6a677e6f20be33af3645bc26253da268e4064",
)


def test_a_changed_pixel_or_caption_needs_another_revision(tmp_path: Path) -> None:
    world = EmbeddedWorld()
    drawn = hashlib.sha256()
    for name in world.pictures:
        folder = tmp_path / name
        world.draw(name, folder, 8, 20251119)
        for row in read(folder):
            pixels = np.asarray(Image.open(folder / row["file_name"]))
            drawn.update(json.dumps([name, row["text"], *pixels.shape]).encode())
            drawn.update(pixels.tobytes())
    assert (world.revision, drawn.hexdigest()) == REVISED, (
        "The drawn sets or datasets.REVISION changed. If a pixel or a caption changed, change"
        " REVISION in fixtures/embedded/datasets.py: otherwise, stores keep serving the old"
        " pictures. Then record the revision and the SHA-256 here."
    )


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    folders = [
        datasets.write_benign(tmp_path / name, "general", 20, seed)
        for name, seed in (("one", 1), ("again", 1), ("other", 2))
    ]
    one, again, other = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders
    )
    assert one == again
    assert one != other


def test_the_reference_shares_no_picture_with_the_benign_set_of_its_seed(tmp_path: Path) -> None:
    reference = datasets.write_reference(tmp_path / "reference", 50, seed=1)
    benign = datasets.write_benign(tmp_path / "benign", "general", 50, seed=1)
    assert not {path.read_bytes() for path in reference.glob("*.png")} & {
        path.read_bytes() for path in benign.glob("*.png")
    }


def test_an_unknown_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="no benign scenario 'cooking'; choose one of general, artistic"
    ):
        datasets.write_benign(tmp_path, "cooking", 1, seed=1)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one picture, but n is 0"):
        datasets.write_reference(tmp_path, 0, seed=1)
