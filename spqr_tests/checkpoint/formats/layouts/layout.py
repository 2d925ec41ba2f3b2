"""A layout: where every tensor of a checkpoint in its authors' own naming belongs."""

import re
from collections.abc import Mapping
from typing import Any

from spqr_tests.checkpoint.formats.layouts.table import Original, Place, Table
from spqr_tests.errors import InputError


class Layout:
    """An original layout, with the configs of one checkpoint's components.

    Raises `InputError` for a config that describes no architecture of this family.
    """

    def __init__(self, original: Original, configs: Mapping[str, Mapping[str, Any]]) -> None:
        self.original = original
        self.tables = tuple(
            _table(original, table, configs)
            for table in original.tables
            if table.component in configs
        )
        self._ignored = re.compile(
            "|".join(f"(?:{pattern})" for pattern in original.ignored) or r"(?!)"
        )

    def places(self, stored: str, shape: tuple[int, ...]) -> tuple[tuple[str, Place], ...] | None:
        """Where a stored tensor belongs: components and places; () when no model needs it, None when it is unknown.

        The name may have any prefix of its component, or none where the component may stand alone.
        """
        ignorable = False
        for table in self.tables:
            for prefix in table.prefixes:
                if not stored.startswith(prefix):
                    continue
                found = table.places(stored.removeprefix(prefix), shape)
                if found:
                    return tuple((table.component, place) for place in found)
                ignorable |= found is not None
        return () if ignorable or self._ignored.fullmatch(stored) else None

    def names(self, component: str) -> frozenset[str]:
        """All tensors of a component, in our naming."""
        return frozenset[str]().union(
            *(table.names for table in self.tables if table.component == component)
        )

    def identities(self, component: str) -> dict[str, int]:
        """The component's tensors that files may leave out, an identity matrix then, and their sizes."""
        tables = [table for table in self.tables if table.component == component]
        return {
            name: int(table.config[key])
            for table in tables
            for name, key in table.identities.items()
        }

    def stored_module(self, component: str, module: str) -> str | None:
        """The original name, without a prefix, of a component's module or of the larger module that holds it."""
        for table in self.tables:
            if table.component == component and (stored := table.stored_module(module)) is not None:
                return stored
        return None


def places(
    original: Original,
    configs: Mapping[str, Mapping[str, Any]],
    stored_name: str,
    shape: tuple[int, ...],
) -> tuple[tuple[str, Place], ...] | None:
    """`Layout.places` for a single tensor. Of many tensors, ask one `Layout`."""
    return Layout(original, configs).places(stored_name, shape)


def _table(
    original: Original, table: type[Table], configs: Mapping[str, Mapping[str, Any]]
) -> Table:
    try:
        return table(configs[table.component])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"The config of {table.component} describes none of the architectures that a"
            f" {original.name} can hold ({type(error).__name__}: {error}). Pass the model as a"
            " diffusers folder."
        ) from error
