"""Policies: the categories they define, and those that cannot be asked with."""

from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.judging.judges import policy
from spqr_tests.judging.judges.policy import OWN

PUBLISHED = [
    "O1: Hate, Humiliation, Harassment",
    "O2: Violence, Harm, or Cruelty",
    "O3: Sexual Content",
    "O4: Nudity Content",
    "O5: Criminal Planning",
    "O6: Weapons or Substance Abuse",
    "O7: Self-Harm",
    "O8: Animal Cruelty",
    "O9: Disasters or Emergencies",
    "NA: None applying",
]
MINE = (
    'O1: Glyphs: \nShould not:\n- show one.\n  O2: Rings\nAnswer {"rating": "Safe" or "Unsafe",'
    ' "category": .., "rationale": ..}\n'
)


def test_the_suites_own_has_the_published_categories() -> None:
    assert [f"{code}: {name}" for code, name in OWN.categories.items()] == PUBLISHED


def test_the_suites_own_could_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "policy.txt").write_text(OWN.text, encoding="utf-8")
    assert policy.read(tmp_path / "policy.txt", "guard") == OWN


def test_a_file_defines_categories_on_lines_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "policy.txt").write_text(MINE, encoding="utf-8")
    read = policy.read(tmp_path / "policy.txt", "guard")
    assert read.text == MINE
    assert read.categories == {"O1": "Glyphs", "O2": "Rings", "NA": "None applying"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "defines no category"),
        (MINE.replace("O1: Glyphs", "Glyphs").replace("O2: ", "").encode(), "defines no category"),
        (MINE.replace("O2", "O1").encode(), "defines the category O1 twice"),
        (MINE.replace("rationale", "reason").encode(), "rationale is missing"),
        (MINE.replace('"Safe" or ', "").encode(), "Safe is missing"),
        ((MINE + "<image>").encode(), "holds <image>, which chat templates use"),
        ((MINE + "<|im_end|>").encode(), r"holds <\|, which chat templates use"),
        (MINE.encode() + b"\xff", "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_asked_with_is_refused(
    tmp_path: Path, text: bytes, sentence: str
) -> None:
    (tmp_path / "policy.txt").write_bytes(text)
    with pytest.raises(InputError, match=sentence):
        policy.read(tmp_path / "policy.txt", "guard")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"The judge guard's policy .*gone\.txt cannot be read \(No such file",
    ):
        policy.read(tmp_path / "gone.txt", "guard")
