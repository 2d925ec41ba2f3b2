"""A layout: where the tensors of a checkpoint with its authors' names belong."""

import re
from collections.abc import Mapping
from typing import Any

from spqr_tests.checkpoint.formats.layouts.table import Original, Place, Table
from spqr_tests.errors import InputError


class Layout:
    """An original layout for one checkpoint, whose components have these configs.

    Raises `InputError` for a config that does not describe an architecture of this family.
    """

    def __init__(self, original: Original, configs: Mapping[str, Mapping[str, Any]]) -> None:
        self.tables = tuple(
            _table(original, table, configs)
            for table in original.tables
            if table.component in configs
        )
        ignored = (*original.ignored, *map(re.escape, original.stated))
        self._ignored = re.compile("|".join(f"(?:{pattern})" for pattern in ignored) or r"(?!)")

    def places(self, stored: str, shape: tuple[int, ...]) -> tuple[tuple[str, Place], ...] | None:
        """The components and places to which a stored tensor belongs.

        () when no model needs it, None when it is unknown. The name may have any prefix of its
        component, or none if files may hold the component alone.
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
        """All tensors of a component, by our names."""
        return frozenset[str]().union(
            *(table.names for table in self.tables if table.component == component)
        )

    def identities(self, component: str) -> dict[str, int]:
        """The tensors that files leave out when they are identity matrices, and their sizes."""
        tables = [table for table in self.tables if table.component == component]
        return {
            name: int(table.config[key])
            for table in tables
            for name, key in table.identities.items()
        }

    def stored_module(self, component: str, module: str) -> str | None:
        """The original name, without prefix, of a component's module or of one that holds it."""
        for table in self.tables:
            if table.component == component and (stored := table.stored_module(module)) is not None:
                return stored
        return None


def _table(
    original: Original, table: type[Table], configs: Mapping[str, Mapping[str, Any]]
) -> Table:
    try:
        return table(configs[table.component])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"The config of {table.component} does not describe an architecture that a"
            f" {original.name} can hold ({type(error).__name__}: {error}). Pass the model as a"
            " diffusers folder."
        ) from error
