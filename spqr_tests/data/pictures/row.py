"""A row: what a set's metadata says about one picture, before the file is looked up."""

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
