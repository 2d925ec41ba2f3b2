"""A table that maps the authors' names of a component's tensors to ours."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from operator import index
from typing import Any

# More than in any published model; a damaged config may ask for any number of layers.
_MOST_TENSORS = 20_000

Rows = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Place:
    """Where a stored tensor, or some of its rows, belongs: the component's tensor `name`.

    The name is ours: that of diffusers and transformers.
    """

    name: str
    shape: tuple[int, ...]
    rows: Rows | None = None
    transposed: bool = False


@dataclass(frozen=True)
class Part:
    """One of our tensors, and the rows of a stored tensor that make it up.

    A `matrix` may be stored as a convolution of size 1.
    """

    name: str
    rows: Rows | None = None
    transposed: bool = False
    matrix: bool = False

    def place(self, stored: tuple[int, ...]) -> Place:
        """The place, if the stored tensor has this shape."""
        shape = stored[::-1] if self.transposed else stored
        if self.rows is not None:
            shape = (sum(end - begin for begin, end in self.rows), *shape[1:])
        if self.matrix and set(shape[2:]) <= {1}:
            shape = shape[:2]
        return Place(self.name, shape, self.rows, self.transposed)


Entry = tuple[str, tuple[Part, ...]]
"""A stored tensor's name, and the tensors that it holds."""


class Table(ABC):
    """The original names of one component's tensors.

    It is built from the component's config, without weights and without torch. Raises `KeyError`,
    `TypeError`, `ValueError` or `IndexError` for a config that does not describe an architecture of
    the family.
    """

    component: str
    """'unet', 'transformer', 'vae', 'text_encoder', ..."""
    prefixes: tuple[str, ...]
    """What a file may put before the component's names, with '' if they may have no prefix."""
    identities: Mapping[str, str] = {}
    """Tensors that files may leave out because they start as an identity matrix in the authors'
    code, and the config's keys for their sizes.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self._entries = dict(islice(self.entries(), _MOST_TENSORS))
        if len(self._entries) == _MOST_TENSORS:
            raise ValueError(f"{_MOST_TENSORS} tensors or more")
        self.names = frozenset(part.name for parts in self._entries.values() for part in parts)
        """All of the component's tensors, by our names."""
        self._modules = {
            part.name.rpartition(".")[0]: stored.rpartition(".")[0]
            for stored, parts in self._entries.items()
            for part in parts
        }

    @abstractmethod
    def entries(self) -> Iterable[Entry]:
        """Every stored tensor, by its name without the prefix, and the tensors that it holds."""

    def spare(self, stored: str) -> bool:
        """Whether files hold this tensor although the model does not need it."""
        del stored
        return False

    def places(self, stored: str, shape: tuple[int, ...]) -> tuple[Place, ...] | None:
        """Where a stored tensor belongs; its name is without the prefix.

        () when the model does not need it. None when it is unknown, or when its shape cannot be
        divided as the config says.
        """
        parts = self._entries.get(stored)
        if parts is None:
            return () if self.spare(stored) else None
        for part in parts:
            if part.transposed and len(shape) != 2:
                return None
        if parts[0].rows is not None:
            whole = sum(end - begin for part in parts for begin, end in part.rows or ())
            if shape[:1] != (whole,):
                return None
        return tuple(part.place(shape) for part in parts)

    def stored_module(self, module: str) -> str | None:
        """The stored name of one of the component's modules, or of the larger one that holds it.

        `module` is our name ('down_blocks.0.resnets.0.conv1'). None when it is unknown. Some
        trainers use the stored names in their adapters.
        """
        return self._modules.get(module) or None


def module(stored: str, name: str, *, bias: bool = True, matrix: bool = False) -> Iterator[Entry]:
    """A module's weight and, with `bias`, its bias."""
    yield f"{stored}.weight", (Part(f"{name}.weight", matrix=matrix),)
    if bias:
        yield f"{stored}.bias", (Part(f"{name}.bias"),)


def norm(stored: str, name: str) -> Iterator[Entry]:
    """A norm whose weight Black Forest Labs call its scale."""
    yield f"{stored}.scale", (Part(f"{name}.weight"),)


def _kinds(*, bias: bool) -> tuple[str, ...]:
    return ("weight", "bias") if bias else ("weight",)


def fused(
    stored: str, names: Sequence[str], sizes: Sequence[int], *, join: str = ".", bias: bool = True
) -> Iterator[Entry]:
    """Modules whose weights (and biases) one tensor holds; `sizes` are their numbers of rows."""
    ranges = list(pairwise(accumulate(map(index, sizes), initial=0)))
    for kind in _kinds(bias=bias):
        yield (
            f"{stored}{join}{kind}",
            tuple(
                Part(f"{name}.{kind}", rows=(rows,))
                for name, rows in zip(names, ranges, strict=True)
            ),
        )


def swapped(stored: str, name: str, half: int, *, bias: bool = True) -> Iterator[Entry]:
    """A module whose two halves (shift and scale) are stored in reverse order."""
    for kind in _kinds(bias=bias):
        yield f"{stored}.{kind}", (Part(f"{name}.{kind}", rows=((half, 2 * half), (0, half))),)


@dataclass(frozen=True)
class Preset:
    """The configs of a published architecture, for single files, which hold only weights."""

    name: str
    """The value of `--spqr-config`: 'sd1', 'sd2-v', ..."""
    pipeline_class: str
    models: Mapping[str, tuple[str, Mapping[str, Any]]]
    """Class and config of each component."""
    scheduler: tuple[str, Mapping[str, Any]]
    tokenizers: Mapping[str, str]
    """The padding token of each CLIP tokenizer, by component."""
    arguments: Mapping[str, bool]
    signs: Mapping[str, tuple[int, ...] | None]
    """The tensors of the denoiser, without prefix, and their shapes that distinguish its files from
    those of other presets. None for a tensor that its files lack.
    """


@dataclass(frozen=True)
class Original:
    """How the authors of a backbone publish it.

    It consists of the tables of its components, the published architectures, and the tensors that
    files hold in addition.
    """

    name: str
    """'CompVis checkpoint', for messages."""
    tables: tuple[type[Table], ...]
    presets: tuple[Preset, ...]
    ignored: tuple[str, ...]
    """Regular expressions (fullmatch) for tensors that no model needs: schedules, EMA copies,
    losses.
    """
    marks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tensors whose presence means settings of the scheduler: the settings by tensor name."""
    stated: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Tensors that repeat numbers of a config: the component and the key by tensor name. A whole
    file holds them all; no other layout knows them.
    """
