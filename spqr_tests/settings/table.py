"""The base of a protocol file's tables, and the types of values that they share."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

Share = Annotated[float, Field(ge=0, le=1)]
# A score never exceeds 1, so a judge with a threshold of 1 would flag nothing.
Threshold = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Phrases = Annotated[tuple[str, ...], Field(min_length=1)]


class Settings(BaseModel):
    """A table of a protocol file: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, table: Any) -> Any:
        # Pydantic would read `threshold = true` as 1.0.
        for key, value in table.items() if isinstance(table, dict) else ():
            if (
                isinstance(value, bool)
                and key in cls.model_fields
                and cls.model_fields[key].annotation is not bool
            ):
                raise ValueError(
                    f"{key} is {str(value).lower()}, and a truth value is not allowed there"
                )
        return table
