"""A row: what a set's metadata says of one picture, before anything is looked up."""

from typing import Any, NamedTuple

DEFAULT_COLUMN = "text"
"""The caption's column or key where the protocol names none."""


class Row(NamedTuple):
    """The picture's name, relative to the pictures' folder, and its caption, both as they stand in the metadata."""

    where: str
    """The file and the line, for messages."""
    name: Any
    caption: Any
