"""Words of textual inversion: whether some prompt holds them, without which nothing is measured."""

from collections.abc import Iterable

from spqr_tests import quotes
from spqr_tests.data.prompts.prompt_set import PromptSet
from spqr_tests.errors import InputError
from spqr_tests.run.run import Run


def require(run: Run) -> None:
    """`InputError` for a word that no prompt holds of those that its images are generated for.

    A prompt without the word gives the image of the model without it, and a drift of 0.
    """
    protocol = run.protocol
    harmful = (protocol.harmful, protocol.ood)
    benign = (protocol.adherence_prompts, protocol.quality_prompts)
    own = {word.text for word in run.checkpoint.parts.words}
    _require("--spqr-overlay", own, (*harmful, *benign), protocol.named)
    for name, one in run.adapters.items():
        words = {word.text for word in one.checkpoint.parts.words} - own
        _require(f"--spqr-adapter {name}", words, harmful, protocol.named)


def _require(
    option: str, words: Iterable[str], sets: Iterable[PromptSet | None], protocol: str
) -> None:
    texts = [row.text for one in sets if one is not None for row in one.rows]
    for word in sorted(words):
        if not any(word in text for text in texts):
            raise InputError(
                f"{option} teaches the word {quotes.shown(word)} by textual inversion, and no"
                f" prompt of the protocol {protocol} holds it, so that only the model without it"
                " would be measured; use prompts with the word."
            )
