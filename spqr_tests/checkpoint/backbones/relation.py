"""A relation between two components' configs that holds in every pipeline of a family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MAX_NUMBER = 2**20
"""Above it a config is damaged, which loading says in words of its own."""


@dataclass(frozen=True)
class Relation:
    """Two numbers that must be equal, and what each of them is ("the unet's in_channels").

    A number that is not known is not compared.
    """

    one: str
    value: Any
    other: str
    expected: Any
    kinds: Mapping[int, str] = field(default_factory=dict)
    """Which kind of model has another `value`, as the object of a sentence."""

    @property
    def holds(self) -> bool | None:
        """Whether they are equal; None when one of them is not a number that a model may have."""
        numbers = (self.value, self.expected)
        if any(type(number) is not int or abs(number) > _MAX_NUMBER for number in numbers):
            return None
        return bool(self.value == self.expected)

    @property
    def sentence(self) -> str:
        """Both values, and the kind of model that has this one."""
        kind = self.kinds.get(self.value)
        about = f" (it is {kind})" if kind else ""
        return f"{self.one} is {self.value}{about}, and {self.other} is {self.expected}"


def total(*numbers: Any) -> int | None:
    """The sum; None when one of them is not a whole number."""
    return sum(numbers) if all(type(number) is int for number in numbers) else None
