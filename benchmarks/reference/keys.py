"""The pages on the keys of protocols and of thresholds, from the settings' fields."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from benchmarks import field_texts
from benchmarks.markdown import table
from benchmarks.reference.text import code, prose
from benchmarks.reference.values import allowed, stated
from spqr_tests.settings.prompts import PromptsSettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.verdict import threshold_file

_PROTOCOL = """\
# Reference: protocol keys

Every key of a protocol's TOML file. [Protocols](protocols.md) says what a protocol is and what the
formulas are. An unknown key is an error. `extends` at the top names the protocol whose keys are the
defaults, in place of those below: a packaged one, or a `.toml` file next to this one. A key that is
not required and has no default may be left out. Paths are relative to the file.
"""
_THRESHOLDS = """\
# Reference: thresholds

Every key of `thresholds.toml`. [How a case is decided](decisions.md) has the rules;
`pytest --model ... --spqr-plan` says what bounds can decide. An unknown key is an error, and so is
a protocol without `safety`, `adherence`, `quality`, `robustness` and `spqr`. Each table has either
`min` or, where it is listed, `max`.
"""
_HEADER = ("key", "what it may hold", "default", "what it is")
_PROTOCOL_TOP = "The top of the file"
_THRESHOLDS_TOP = "PROTOCOL"
_EVERY_BOUND = "Every bound"
MORE = {
    "sampler": "[what each family's authors use](checkpoints.md#backbones)",
    "data.NAME": "[your data](data.md)",
    "harmful": "[layouts of prompt sets](data.md)",
    "adherence": "[the least n](protocols.md#the-least-n)",
    "quality": (
        "[which distance](protocols.md#which-distance), [the least n](protocols.md#the-least-n)"
    ),
    "judges.NAME": "[judges](judges.md)",
    "finetuning": "[trainings are chance](decisions.md#trainings-are-chance)",
    "finetuning.took": (
        "[what a fine-tune must have done](protocols.md#what-a-fine-tune-must-have-done)"
    ),
    "profiles.NAME": (
        "[what the three profiles train](checkpoints.md#what-the-three-profiles-train),"
        " [curves](protocols.md#curves), [recipes](recipes.md)"
    ),
    "correction": "[judges checked by eye](audit.md)",
    "score": "[the formulas](protocols.md#the-formulas)",
    "PROTOCOL.robustness.curve": "[curves](decisions.md#curves)",
}
"""Where more is said of a table."""
_PROMPTS = "harmful"
_SHARED = {
    PromptsSettings: f"the keys of `[{_PROMPTS}]`",
    threshold_file.Bound: f"the keys of [{_EVERY_BOUND.lower()}](#every-bound)",
}


@dataclass(frozen=True)
class Table:
    """The keys of one table of a file."""

    name: str
    """Dotted; NAME where the file has a name of its own."""
    model: type[BaseModel]
    kind: str = ""
    """Which of several tables of this name it is; "" for the only one."""
    shared: type[BaseModel] | None = None
    """The model whose keys it has too, which are not repeated."""

    @property
    def heading(self) -> str:
        """The table as one would write it."""
        if self.name in {_PROTOCOL_TOP, _EVERY_BOUND}:
            return self.name
        return f"`[{self.name}]`{self.kind and f' of kind {self.kind}'}"

    @property
    def own(self) -> dict[str, FieldInfo]:
        """The keys that are listed."""
        above = self.shared.model_fields if self.shared else {}
        return {key: one for key, one in self.model.model_fields.items() if key not in above}

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """A row for each key, but for tables that have a section of their own what is in it."""
        properties = self._schemas()
        for key, one in self.own.items():
            inner = bool(nested(one.annotation))
            default = "required" if one.is_required() else ""
            if not (inner or default):
                default = stated(one.get_default(call_default_factory=True))
            what = "table, below" if inner else allowed(properties[key])
            yield code(key), what, default, prose(field_texts.text(self.model, key))

    def _schemas(self) -> dict[str, Any]:
        return dict(self.model.model_json_schema()["properties"])


def nested(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation: of a table, of a table that may be left out, of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for inside in get_args(annotation) for one in nested(inside)]


def tables(model: type[BaseModel], name: str, prefix: str = "") -> Iterator[Table]:
    """The table of a model, then those inside it."""
    yield Table(name, model)
    for key, one in model.model_fields.items():
        inner = nested(one.annotation)
        path = f"{prefix}{key}{'.NAME' if get_origin(one.annotation) is dict else ''}"
        if len(inner) > 1:
            yield from (Table(path, each, _kind(each)) for each in inner)
        elif inner and issubclass(inner[0], PromptsSettings) and path != _PROMPTS:
            yield Table(path, inner[0], shared=PromptsSettings)
        elif inner and issubclass(inner[0], threshold_file.Bound):
            first, *below = tables(inner[0], path, f"{path}.")
            yield from (replace(first, shared=threshold_file.Bound), *below)
        elif inner:
            yield from tables(inner[0], path, f"{path}.")


def _kind(model: type[BaseModel]) -> str:
    named = get_args(model.model_fields["kind"].annotation)
    return f'"{named[0]}"' if named else "that a package registers"


def _section(one: Table) -> str:
    more = f" More: {MORE[one.name]}." if one.name in MORE and not one.kind else ""
    about = f"{prose((one.model.__doc__ or '').strip())}{more}" if one.own else ""
    if one.shared:
        about += f" It has {_SHARED[one.shared]} too."
    rows = table(_HEADER, one.rows()) if one.own else ""
    return f"## {one.heading}\n\n{about.strip()}\n\n{rows}".rstrip("\n") + "\n"


def protocol_tables() -> list[Table]:
    """Of a protocol's file."""
    return list(tables(Protocol, _PROTOCOL_TOP))


def threshold_tables() -> list[Table]:
    """Of a thresholds file."""
    found = tables(threshold_file.ProtocolTable, _THRESHOLDS_TOP, f"{_THRESHOLDS_TOP}.")
    return [*found, Table(_EVERY_BOUND, threshold_file.Bound)]


def protocol() -> str:
    """The page on a protocol's keys."""
    return "\n".join([_PROTOCOL, *(_section(one) for one in protocol_tables())])


def thresholds() -> str:
    """The page on the keys of thresholds."""
    return "\n".join([_THRESHOLDS, *(_section(one) for one in threshold_tables())])
