"""The protocol: all settings that affect a number, identified by one short hash.

Defaults are the paper's (arXiv 2511.19558 and the authors' code); a protocol file states what it
changes.
"""

from typing import Annotated, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from spqr_tests import quotes
from spqr_tests.settings.finetuning import (
    OptimizerSettings,
    ProfileSettings,
    ScenarioSettings,
    ThreatSettings,
)
from spqr_tests.settings.judges import JudgeSettings
from spqr_tests.settings.prompts import (
    AdherenceSettings,
    DataSettings,
    PromptsSettings,
    QualitySettings,
)
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.settings.table import Name, Settings
from spqr_tests.verdict.names import Variant

_MOST_MEASURED = 10**9
MOST_DRAWS = 1_000_000
_Weight = Annotated[PositiveFloat, Field(le=1e6)]


class CorrectionSettings(Settings):
    """The judges' known accuracy, all together, which corrects the flagged share.

    See Rogan and Gladen (1978).
    """

    sensitivity: Annotated[float, Field(gt=0.5, le=1)]
    """The share of harmful pictures that the judges flag."""
    sensitivity_n: Annotated[PositiveInt, Field(le=_MOST_MEASURED)]
    """The number of harmful pictures on which it was measured."""
    specificity: Annotated[float, Field(gt=0.5, le=1)]
    """The share of harmless pictures that the judges do not flag."""
    specificity_n: Annotated[PositiveInt, Field(le=_MOST_MEASURED)]
    """The number of harmless pictures on which it was measured."""
    source: str
    """Where these numbers are from, such as an audit's file with its digest."""


class ScoreSettings(Settings):
    """How the axes make up SPQR, and the variant whose SPQR is the headline."""

    robustness: Literal["retention", "sigmoid"] = "retention"
    """How drift becomes R: "retention", or the paper's Eq. 3, "sigmoid"."""
    weights: tuple[_Weight, _Weight, _Weight, _Weight] = (
        1.0,
        1.0,
        1.0,
        1.0,
    )
    """The weights of S, P, Q and R in the harmonic mean."""
    headline_profile: Name = "standard"
    """The profile of the variant whose SPQR is the headline."""
    headline_scenario: Name = "general"
    """The scenario of the variant whose SPQR is the headline."""
    draws: Annotated[int, Field(ge=200, le=MOST_DRAWS)] = 4000
    """The draws of a 95 % interval that is made of draws; a higher confidence has more."""


class Protocol(Settings):
    """One protocol file."""

    name: Name
    """The protocol's name, by which thresholds.toml finds it."""
    about: str
    """What the protocol is for; a reader's note that is not hashed."""
    release: bool = True
    """False for a protocol that is too small to decide a release; every output says so."""
    sampler: SamplerSettings
    """How one image is generated."""
    data: dict[Name, DataSettings] = Field(default_factory=dict)
    """Sets that the user brings, by name."""
    harmful: PromptsSettings
    """The harmful prompts, of which S and every drift are measured."""
    ood: PromptsSettings | None = None
    """Out-of-distribution harmful prompts: their drift is reported too, outside the score."""
    adherence: AdherenceSettings
    """The benign prompts of P and how it is measured."""
    quality: QualitySettings
    """The benign prompts of Q, its reference pictures and how it is measured."""
    judges: Annotated[dict[Name, JudgeSettings], Field(min_length=1)]
    """The judges, by name; an image is harmful if any of them flags it."""
    finetuning: OptimizerSettings = OptimizerSettings()
    """What all fine-tunes share."""
    profiles: Annotated[dict[Name, ProfileSettings], Field(min_length=1)]
    """Fine-tuning profiles, by name: what is trained, and for how long."""
    scenarios: Annotated[dict[Name, ScenarioSettings], Field(min_length=1)]
    """Fine-tuning scenarios, by name: on which pictures."""
    threat: ThreatSettings = ThreatSettings()
    """What is checked of benign pictures before anything is trained on them."""
    correction: CorrectionSettings | None = None
    """The judges' measured accuracy, by which the flagged share is corrected; none by default."""
    score: ScoreSettings = ScoreSettings()
    """How the axes make up SPQR."""

    @model_validator(mode="after")
    def _headline(self) -> "Protocol":
        for key, names in (("profile", self.profiles), ("scenario", self.scenarios)):
            named = getattr(self.score, f"headline_{key}")
            if named not in names:
                raise ValueError(
                    f"score.headline_{key} is {quotes.shown(named)}, which is not one of the {key}s"
                    f" {sorted(names)}"
                )
        if (self.score.headline_profile, self.score.headline_scenario) not in self.variants:
            raise ValueError(
                f"scenarios.{self.score.headline_scenario}.profiles leaves out the headline's"
                " profile"
            )
        return self

    @model_validator(mode="after")
    def _names(self) -> "Protocol":
        for name, scenario in self.scenarios.items():
            for profile in scenario.profiles or ():
                if profile not in self.profiles:
                    raise ValueError(
                        f"scenarios.{name}.profiles names {quotes.shown(profile)}, which is not"
                        f" one of {sorted(self.profiles)}"
                    )
        return self

    @model_validator(mode="after")
    def _looking(self) -> "Protocol":
        for name in self.threat.judges or ():
            if name not in self.judges:
                raise ValueError(
                    f"threat.judges names {quotes.shown(name)}, which is not one of the judges"
                    f" {sorted(self.judges)}"
                )
        return self

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that are fine-tuned, scenario by scenario."""
        free = tuple(name for name, profile in self.profiles.items() if not profile.reserved)
        return tuple(
            Variant(profile, name)
            for name, scenario in self.scenarios.items()
            for profile in (free if scenario.profiles is None else scenario.profiles)
        )
