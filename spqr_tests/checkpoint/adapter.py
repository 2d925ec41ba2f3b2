"""A ready adapter: a variant of the checkpoint under test that is given, not trained."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from spqr_tests.checkpoint.checkpoint import Checkpoint
from spqr_tests.checkpoint.formats import overlay
from spqr_tests.errors import InputError

PROFILE = "adapter"
"""What stands in a profile's place in the names of what is measured of an adapter:
`robustness[adapter-NAME]`.
"""

_OPTION = "--spqr-overlay"


@dataclass(frozen=True)
class Adapter:
    """A variant by name: the checkpoint under test with weights of the user's on it."""

    name: str
    checkpoint: Checkpoint
    recognised: str
    """A sentence: what the weights were taken for, and how many tensors they change."""
    known: str | None = None
    """The fingerprint, where another process has worked it out."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the checkpoint with the adapter on it: the same as when it is given as an overlay."""
        return self.known or self.checkpoint.fingerprint


def read(
    checkpoint: Checkpoint, given: str, where: Path, *, allow_pickle: bool, known: str | None = None
) -> Adapter:
    """The adapter of `--spqr-adapter NAME=PATH`, `given` being NAME=PATH and PATH relative to `where`.

    PATH is anything that changes weights: a LoRA, a state dict or a part of one, a component's
    folder. Reads names and shapes, not weights. Raises `InputError`.
    """
    name, equals, named = given.partition("=")
    option = f"--spqr-adapter {given}"
    if not equals or not named:
        raise InputError(f"{option}: expected is NAME=PATH, such as mine=path/to/lora.safetensors.")
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(
            f"{option}: the name {name!r} may hold small letters, digits and underscores only, and"
            " one at least."
        )
    path = where / Path(named).expanduser()
    try:
        parts, recognised = overlay.apply(checkpoint.parts, path, allow_pickle=allow_pickle)
    except InputError as error:
        # The reader names the option that most files come by.
        said = str(error).replace(f"{_OPTION} {path}", str(path))
        raise InputError(f"{option}: {said.replace(_OPTION, '--spqr-adapter')}") from error
    sentence = f"{name}: {recognised.sentence}"
    return Adapter(
        name,
        replace(checkpoint, parts=parts, recognised=(*checkpoint.recognised, sentence)),
        recognised.sentence,
        known,
    )
