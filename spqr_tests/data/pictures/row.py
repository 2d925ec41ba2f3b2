"""A row: what a set's metadata says about one picture, before the file is looked up."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT_COLUMN = "text"
"""The caption's column or key when the protocol does not name one."""


class Row(NamedTuple):
    """A picture's name and its caption, unchecked, as the metadata has them."""

    where: str
    """The file and the line, for messages."""
    name: Any
    """Relative to the pictures' folder."""
    caption: Any
    """A text, or a list of several."""


class Rows(NamedTuple):
    """What a layout's reader found."""

    folder: Path
    """The pictures'."""
    rows: Iterable[Row]
    notes: tuple[str, ...] = ()
    """What of the files is not used."""
    captioned: bool = True
