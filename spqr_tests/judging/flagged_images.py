"""Flagged images as they are named to people: how many there are, and where some of them are."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class FlaggedImage:
    """A flagged image."""

    path: str
    """Relative to the store."""
    prompt: str
    """The prompt's row and seed; its text where that may be shown."""
    judges: tuple[str, ...]
    """Who flags it."""


@dataclass(frozen=True)
class FlaggedImages:
    """The flagged images behind one measurement."""

    count: int
    """How many there are."""
    shown: tuple[FlaggedImage, ...]
    """Some of them."""

    def to_json(self) -> str:
        """For the controller."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "FlaggedImages":
        """From `to_json`."""
        value = json.loads(text)
        shown = (
            FlaggedImage(one["path"], one["prompt"], tuple(one["judges"])) for one in value["shown"]
        )
        return cls(value["count"], tuple(shown))
