"""The base of a protocol file's tables, and the types of values that they share."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from spqr_tests import quotes

Share = Annotated[float, Field(ge=0, le=1)]
# A score never exceeds 1, so a judge with a threshold of 1 would flag nothing.
Threshold = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Phrases = Annotated[tuple[str, ...], Field(min_length=1)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Rows = Annotated[int, Field(gt=0, le=10_000_000)]
"""How many rows or pictures of a set are used; above every published one that is measured."""

_LONGEST = 10_000
"""Characters of a text, and entries of a list or table; a policy's text is in a file of its own."""


class Settings(BaseModel):
    """A table of a protocol file: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, table: Any) -> Any:
        # Of what is inside the tables inside, each has its own model, or is in a registered judge.
        level = (
            [(str(key), value) for key, value in table.items()] if isinstance(table, dict) else []
        )
        while level:
            inner: list[tuple[str, Any]] = []
            for key, value in level:
                if isinstance(value, str | list | tuple | dict) and len(value) > _LONGEST:
                    unit = "characters" if isinstance(value, str) else "entries"
                    raise ValueError(
                        f"{quotes.cut(key)} has {len(value):,} {unit}; at most {_LONGEST:,} are"
                        " accepted"
                    )
                if isinstance(value, dict):
                    inner += [(str(name), one) for name, one in value.items()]
                elif isinstance(value, list | tuple):
                    inner += [(key, one) for one in value]
            level = inner
        return table

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, table: Any) -> Any:
        # Pydantic would read `threshold = true` as 1.0.
        for key, value in table.items() if isinstance(table, dict) else ():
            several = value if isinstance(value, list | tuple) else [value]
            truths = [one for one in several if isinstance(one, bool)]
            # A registered judge may have a list of truth values.
            allowed = key not in cls.model_fields or "bool" in str(cls.model_fields[key].annotation)
            if truths and not allowed:
                what = "is" if isinstance(value, bool) else "holds"
                raise ValueError(
                    f"{key} {what} {str(truths[0]).lower()}, and a truth value is not allowed there"
                )
        return table
