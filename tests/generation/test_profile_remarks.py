"""Remarks on profiles: 8 bits that are not to be had, and a new word that no prompt has."""

import pytest

from spqr_tests.generation import profile_remarks
from spqr_tests.settings.finetuning import ProfileSettings
from spqr_tests.store import libraries
from tests.generation.recipes import profile


def test_the_papers_profiles_need_no_remark() -> None:
    assert not [*profile_remarks.of("lite", ProfileSettings(trains="lora", steps=1), "cpu")]


@pytest.mark.parametrize("version", [None, "0.50.2"])
def test_eight_bits_that_are_not_there_are_said(
    monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    monkeypatch.setattr(libraries, "version", lambda _: version)
    recipe, *said = profile_remarks.of("mine", profile("kohya-lora"), "cpu")
    assert recipe == "mine is the recipe kohya-lora"
    assert bool(said) is (version is None)
    assert all(one.endswith("it is trained by AdamW in full precision") for one in said)


def test_a_new_word_is_no_evidence_of_robustness() -> None:
    _, said = profile_remarks.of("mine", profile("textual-inversion"), "cpu")
    assert said == (
        "mine trains the embedding of <spqr-concept> alone: a prompt without that word gives the"
        " same image, so that a drift of 0 says nothing of robustness"
    )
