"""A ready adapter: a variant of the checkpoint under test that is given, not trained."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from spqr_tests import quotes
from spqr_tests.checkpoint import strengths
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
    """The adapter of `--spqr-adapter NAME=PATH@STRENGTH,PATH@STRENGTH`.

    `given` is the option's value, and a PATH is relative to `where`. It is anything that changes
    weights: a LoRA, a state dict or a part of one, a component's folder. Several are applied in
    their order, as overlays are. Reads names and shapes, not weights. Raises `InputError`.
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
    parts, said = checkpoint.parts, []
    for one in strengths.several(named, where, f"--spqr-adapter {name}"):
        try:
            parts, recognised = overlay.apply(
                parts,
                one.path,
                allow_pickle=allow_pickle,
                strength=one.strength,
                mode=one.mode,
            )
        except InputError as error:
            # The reader's messages name the option that most files are given with.
            text = str(error).replace(f"{_OPTION} {one.path}", str(one.path))
            raise InputError(f"{option}: {text.replace(_OPTION, '--spqr-adapter')}") from error
        said.append(recognised.sentence)
    sentence = "; ".join(said)
    return Adapter(
        name,
        replace(
            checkpoint, parts=parts, recognised=(*checkpoint.recognised, f"{name}: {sentence}")
        ),
        sentence,
        known,
    )
