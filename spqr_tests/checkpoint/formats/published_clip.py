"""The vocabulary of the published CLIP models, which ships with open_clip."""

import gzip
from functools import cache
from importlib import util
from pathlib import Path

from spqr_tests.errors import EvidenceError

START, END = "<|startoftext|>", "<|endoftext|>"
"""The special tokens."""


@cache
def ids_and_merges() -> tuple[dict[str, int], tuple[str, ...]]:
    """Ids and merges of the published CLIP, from open_clip's file (open_clip is not imported)."""
    spec = util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise EvidenceError(
            "open_clip is not installed, and CLIP's vocabulary ships with it: pip install"
            " open_clip_torch."
        )
    path = Path(spec.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise EvidenceError(
            f"{path} cannot be read, and CLIP's vocabulary is in it: reinstall open_clip_torch."
        ) from error
    # The first line is a title. Of the ids, 256 are bytes, 256 are bytes at a word's end and 2 are
    # special tokens; the rest are merges.
    merges = tuple(lines[1 : 49_408 - 2 * 256 - 2 + 1])
    alphabet = _alphabet()
    tokens = [
        *alphabet,
        *(f"{letter}</w>" for letter in alphabet),
        *("".join(pair.split()) for pair in merges),
        START,
        END,
    ]
    return {token: number for number, token in enumerate(tokens)}, merges


def _alphabet() -> list[str]:
    """A visible character for each byte, in the order of the ids.

    The visible characters of Latin-1 come first, then those from U+0100 on for the other bytes
    (`bytes_to_unicode` of GPT-2's tokenizer).
    """
    visible = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    return [*map(chr, visible), *(chr(256 + number) for number in range(256 - len(visible)))]
