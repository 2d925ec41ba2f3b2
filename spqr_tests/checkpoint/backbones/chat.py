"""Chat templates: what a pipeline makes of a prompt before it is told into tokens."""

from collections.abc import Callable
from typing import Any

Written = Callable[[Any, str], str]
"""A transformers tokenizer and a prompt: the text that is told into tokens, to the prompt's end."""


def written(**options: Any) -> Written:
    """The prompt as the only message of a user, in the tokenizer's template with these options.

    What the template adds behind the prompt is left out: a limit may cut it, and nothing is lost.
    """

    def write(tokenizer: Any, prompt: str) -> str:
        whole, empty = (
            str(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}],
                    tokenize=False,
                    add_generation_prompt=True,
                    **options,
                )
            )
            for text in (prompt, "")
        )
        alike = zip(whole, empty, strict=False)
        begins = next((at for at, (one, other) in enumerate(alike) if one != other), len(empty))
        end = begins + len(prompt)
        # A template that changes prompts, or a prompt that looks like one, is counted whole.
        return whole[:end] if whole[:end].endswith(prompt) else whole

    return write
