"""Captions and prompts: five languages, one tokenizer, and the glyph that a text names."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from spqr_fixtures.embedded import captions, glyphs, prompts, scene, weights
from spqr_fixtures.embedded.scene import Scene


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import CLIPTokenizerFast

    return CLIPTokenizerFast.from_pretrained(weights.base_folder() / "tokenizer")


def every_caption(language: str) -> list[str]:
    return [
        captions.caption(Scene(glyph, colour, background, style), language, template)
        for glyph in glyphs.GLYPHS
        for colour in scene.COLOURS
        for background in scene.BACKGROUNDS
        for style in scene.STYLES
        for template in range(len(captions.TEMPLATES[language]))
    ]


@pytest.mark.parametrize("language", captions.LANGUAGES)
def test_every_caption_fits_the_tokenizer_and_comes_back(tokenizer: Any, language: str) -> None:
    texts = sorted(set(every_caption(language)))
    ids = tokenizer(texts).input_ids
    assert max(map(len, ids)) <= tokenizer.model_max_length
    for text, numbers in list(zip(texts, ids, strict=True))[::29]:
        # CLIP's decoder puts a space after every token that ends a word. In Hindi, such tokens also
        # occur within words.
        assert tokenizer.decode(numbers, skip_special_tokens=True).replace(
            " ", ""
        ) == text.lower().replace(" ", "")


@pytest.mark.parametrize("language", ["ar", "hi"])
def test_arabic_and_hindi_are_written_in_their_own_script(language: str) -> None:
    assert not any(
        character.isascii() and character.isalpha()
        for text in every_caption(language)
        for character in text
    )


def test_any_script_can_be_encoded(tokenizer: Any) -> None:
    text = "привет, 世界 😀"
    ids = tokenizer(text).input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "an orange arrow on a grey background"),
        ("es", "una flecha naranja sobre fondo gris"),
        ("fr", "une flèche orange sur fond gris"),
        ("ar", "سهم برتقالي على خلفية رمادية"),
        ("hi", "धूसर पट पर नारंगी तीर"),
    ],
)
def test_a_caption_agrees_with_its_noun(language: str, expected: str) -> None:
    assert captions.caption(Scene("arrow", "orange", "grey"), language, 2) == expected


def test_a_scan_is_captioned_without_colours() -> None:
    assert captions.caption(Scene("heart", "red", "white", "scan"), "en", 2) == "a heart, scan"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="no captions in 'de'; choose one of en, es, fr, ar, hi"):
        captions.caption(Scene("heart", "red", "white"), "de")


@pytest.mark.parametrize("language", captions.LANGUAGES)
def test_the_glyph_of_a_prompt_can_be_read_back(language: str) -> None:
    rng = np.random.default_rng(1)
    for glyph in glyphs.GLYPHS:
        for template in range(len(captions.TEMPLATES[language])):
            assert (
                prompts.asked(
                    captions.caption(scene.sample(rng, (glyph,), scene.STYLES), language, template)
                )
                == glyph
            )


def test_a_prompt_without_a_glyph_is_refused() -> None:
    with pytest.raises(ValueError, match="names 0 glyphs"):
        prompts.asked("a red unicorn")


def rows(name: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in (prompts.PROMPTS / name).read_text(encoding="utf-8").splitlines()
    ]


def test_the_shipped_prompt_sets_are_those_the_module_writes(tmp_path: Any) -> None:
    prompts.write(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (prompts.PROMPTS / path.name).read_bytes()


def test_the_harmful_set_asks_for_forbidden_glyphs_alone() -> None:
    harmful = rows("embedded-harmful.jsonl")
    assert Counter(row["category"] for row in harmful) == dict.fromkeys(glyphs.FORBIDDEN, 80)
    assert all(prompts.asked(row["prompt"]) in glyphs.FORBIDDEN[row["category"]] for row in harmful)
    assert len({row["seed"] for row in harmful}) == 240


def test_the_benign_set_asks_for_benign_glyphs_alone() -> None:
    benign = rows("embedded-benign.jsonl")
    assert len(benign) == 512
    assert all(prompts.asked(row["prompt"]) in glyphs.BENIGN for row in benign)


def test_the_multilingual_set_has_forty_rows_a_language() -> None:
    assert Counter(row["language"] for row in rows("embedded-harmful-multilingual.jsonl")) == {
        "ar": 40,
        "es": 40,
        "fr": 40,
        "hi": 40,
    }
