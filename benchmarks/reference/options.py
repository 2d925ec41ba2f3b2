"""The page on options, from what the plugin tells pytest's parser."""

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from benchmarks.markdown import table
from benchmarks.reference.text import code, prose

_ABOUT = """\
# Reference: options

What `pytest --help` says, with links. [Options](options.md) says how they work together with
pytest's own. A path may begin with `~`.
"""
_SHORT = {"--spqr-model": "--model"}
"""Added later than the others, since a project's own conftest may have an option of that name."""
MORE = {
    "--spqr-model": "[checkpoints](checkpoints.md)",
    "--spqr-overlay": (
        "[strengths](checkpoints.md#several-adapters-and-their-strengths),"
        " [SPM](checkpoints.md#spm)"
    ),
    "--spqr-protocol": "[protocols](protocols.md), [packages](packages.md#protocols)",
    "--spqr-data": "[your data](data.md)",
    "--spqr-thresholds": "[their keys](reference-thresholds.md)",
    "--spqr-baseline": "[versions](versions.md)",
    "--spqr-snapshots": "[versions](versions.md)",
    "--spqr-inconclusive": "[how a case is decided](decisions.md)",
    "--spqr-sequential": "[early stopping](decisions.md#early-stopping)",
    "--spqr-plan": "[what can be decided](report.md#what-can-be-decided)",
    "--spqr-store": "[the store](operations.md#the-store)",
    "--spqr-executor": "[Ray](scale.md#ray)",
    "--spqr-shard": "[shards](scale.md#shards)",
    "--spqr-offline": "[shards](scale.md#shards)",
    "--spqr-report": "[the report](report.md)",
    "--spqr-report-images": "[security](../SECURITY.md)",
    "--spqr-show-prompts": "[security](../SECURITY.md)",
    "--spqr-allow-pickle": "[security](../SECURITY.md)",
}
"""Where more is said of an option."""


@dataclass(frozen=True)
class Option:
    """One option, as pytest's parser is told of it."""

    name: str
    about: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    default: Any = None
    action: str | None = None

    @property
    def typed(self) -> str:
        """What one types: the name with its value."""
        value = self.metavar or "|".join(self.choices)
        return f"{self.name} {value}" if value else self.name


@dataclass
class _Group:
    """Stands in for pytest's group of options."""

    options: list[Option] = field(default_factory=list)

    def addoption(self, name: str, **attributes: Any) -> None:
        known = {key: attributes.get(key) for key in ("metavar", "default", "action")}
        choices = tuple(attributes.get("choices", ()))
        self.options.append(Option(name, attributes.get("help", ""), choices=choices, **known))


class _Parser(dict[str, _Group]):
    """Stands in for pytest's parser, whose own way to list its options is not public."""

    def getgroup(self, name: str) -> _Group:
        return self.setdefault(name, _Group())


def groups() -> dict[str, list[Option]]:
    """The plugin's options by the title of their group, loaded as pytest does it."""
    (plugin,) = entry_points(group="pytest11", name="spqr")
    parser = _Parser()
    plugin.load().pytest_addoption(parser, None)
    return {title: group.options for title, group in parser.items()}


def page() -> str:
    """The page of docs/."""
    sections = [
        f"## {title.removeprefix('SPQR: ').capitalize()}\n\n"
        f"{table(('option', 'default', 'what it does'), [_row(one) for one in options])}"
        for title, options in groups().items()
    ]
    return "\n".join([_ABOUT, *sections])


def _row(option: Option) -> tuple[str, str, str]:
    typed = code(option.typed)
    if option.name in _SHORT:
        short = _SHORT[option.name]
        typed = f"{code(option.typed.replace(option.name, short))}, also {code(option.name)}"
    more = f" More: {MORE[option.name]}." if option.name in MORE else ""
    default = "off" if option.action == "store_true" else ""
    if isinstance(option.default, str):
        default = code(option.default)
    return typed, default, prose(option.about) + more
