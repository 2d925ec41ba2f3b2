"""The libraries that an index names, and their classes."""

from typing import Any

NAMES = ("diffusers", "transformers", "kolors")


def class_of(library: str, name: str) -> Any:
    """The class of this name; imports the library. `AttributeError` where it has none.

    `kolors` are the modules of diffusers that its pipeline brings.
    """
    if library == "kolors":
        from diffusers.pipelines.kolors import text_encoder, tokenizer

        return getattr(text_encoder if hasattr(text_encoder, name) else tokenizer, name)
    import diffusers
    import transformers

    return getattr({"diffusers": diffusers, "transformers": transformers}[library], name)


def find(name: str) -> Any:
    """The class of this name in the first library that has it; `AttributeError` if none has."""
    for library in NAMES[:-1]:
        try:
            return class_of(library, name)
        except AttributeError:
            continue
    return class_of(NAMES[-1], name)
