"""A ready adapter: a variant of the checkpoint under test that is given, not trained."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from spqr_tests import files, quotes
from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.checkpoint.formats import overlay
from spqr_tests.errors import InputError

PROFILE = "adapter"
"""Replaces the profile in the names of an adapter's measurements: `robustness[adapter-NAME]`."""

_OPTION = "--spqr-overlay"


@dataclass(frozen=True)
class Adapter:
    """A named variant: the checkpoint under test with the user's weights applied to it."""

    name: str
    checkpoint: Checkpoint
    recognised: str
    """A sentence: what the weights were recognised as, and how many tensors they change."""
    known: str | None = None
    """The fingerprint, if another process has computed it."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the checkpoint with the adapter applied.

        It is the same as when the adapter is given as an overlay.
        """
        return self.known or self.checkpoint.fingerprint


def read(
    checkpoint: Checkpoint, given: str, where: Path, *, allow_pickle: bool, known: str | None = None
) -> Adapter:
    """The adapter of `--spqr-adapter NAME=PATH`.

    `given` is NAME=PATH, and PATH is relative to `where`. It is anything that changes weights: a
    LoRA, a state dict or a part of one, a component's folder. Reads names and shapes, not weights.
    Raises `InputError`.
    """
    name, equals, named = given.partition("=")
    option = f"--spqr-adapter {given}"
    if not equals or not named:
        raise InputError(f"{option}: expected NAME=PATH, such as mine=path/to/lora.safetensors.")
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(
            f"{option}: the name {quotes.shown(name)} must consist of lower-case letters,"
            " digits and"
            " underscores, at least one."
        )
    path = files.place(named, where, f"--spqr-adapter {name}")
    try:
        parts, recognised = overlay.apply(checkpoint.parts, path, allow_pickle=allow_pickle)
    except InputError as error:
        # The reader's messages name the option that most files are given with.
        said = str(error).replace(f"{_OPTION} {path}", str(path))
        raise InputError(f"{option}: {said.replace(_OPTION, '--spqr-adapter')}") from error
    sentence = f"{name}: {recognised.sentence}"
    return Adapter(
        name,
        replace(checkpoint, parts=parts, recognised=(*checkpoint.recognised, sentence)),
        recognised.sentence,
        known,
    )
