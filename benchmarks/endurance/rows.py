"""What the parts of the endurance test found."""

from typing import Literal

from pydantic import BaseModel, Field

from benchmarks.numbers import STRICT, Numbers


class Kills(BaseModel):
    """One run that was killed until it was whole."""

    model_config = STRICT

    seed: int
    target: Literal["group", "worker"]
    """All of its processes, or one worker of two."""
    kills: int
    after: list[float]
    """Seconds from the start to each kill."""
    again: int
    """Stored images, judgements and fine-tunes that the last run made once more."""
    equal: bool
    """Whether the last run's report is that of an undisturbed run, to the last digit."""


class Damages(BaseModel):
    """One copy of a store in which entries were damaged."""

    model_config = STRICT

    seed: int
    done: dict[str, int]
    """How many entries were damaged, by how."""
    found: int
    """How many of them `store verify` found."""
    equal: bool


class Failure(BaseModel):
    """One file system that failed."""

    model_config = STRICT

    what: str
    code: int
    said: str
    """The run's own sentence."""
    equal: bool
    """Whether the next run, on a sound file system, ends like an undisturbed one."""


class Memory(BaseModel):
    """One long process."""

    model_config = STRICT

    images: int
    mib: list[int]
    """Resident memory after each twentieth of the images."""
    handles: int
    """Open files more than after the warm-up."""
    processes: int
    """Children that are left."""
    files: int
    """Temporary files that are left."""


class Endurance(Numbers):
    """All parts; each goes on where it was."""

    schema_: Literal["spqr-endurance/1"] = Field(default="spqr-endurance/1", alias="schema")
    kills: list[Kills] = Field(default_factory=list)
    damages: list[Damages] = Field(default_factory=list)
    failures: list[Failure] = Field(default_factory=list)
    memory: list[Memory] = Field(default_factory=list)
