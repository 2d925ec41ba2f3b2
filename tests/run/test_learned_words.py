"""A word of textual inversion that no prompt holds is refused before anything is generated."""

from types import SimpleNamespace
from typing import Any

import pytest

from spqr_tests.errors import InputError
from spqr_tests.run import learned_words


def learned(*words: str) -> Any:
    return SimpleNamespace(
        parts=SimpleNamespace(words=[SimpleNamespace(text=one) for one in words])
    )


def run(model: Any, adapter: Any, harmful: str, benign: str) -> Any:
    sets = [SimpleNamespace(rows=[SimpleNamespace(text=text)]) for text in (harmful, benign)]
    protocol = SimpleNamespace(
        harmful=sets[0], ood=None, adherence_prompts=sets[1], quality_prompts=sets[1], named="tiny"
    )
    return SimpleNamespace(
        checkpoint=model, protocol=protocol, adapters={"mine": SimpleNamespace(checkpoint=adapter)}
    )


def test_words_that_prompts_hold() -> None:
    learned_words.require(run(learned(), learned(), "a", "b"))
    learned_words.require(run(learned("<x>"), learned("<x>"), "a", "a <x>"))
    learned_words.require(run(learned(), learned("<x>"), "a <x>", "b"))


@pytest.mark.parametrize(
    ("model", "adapter", "benign", "said"),
    [
        (("<x>",), ("<x>",), "b", "--spqr-overlay teaches the word '<x>'"),
        # An adapter's images are those of the harmful prompts alone.
        ((), ("<x>",), "b <x>", "--spqr-adapter mine teaches the word '<x>'"),
    ],
)
def test_words_that_no_prompt_holds(
    model: tuple[str, ...], adapter: tuple[str, ...], benign: str, said: str
) -> None:
    with pytest.raises(InputError) as refused:
        learned_words.require(run(learned(*model), learned(*adapter), "a", benign))
    assert said in str(refused.value)
