"""Layouts of installed packages, which are recognised together with the suite's own."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from spqr_tests import packages, quotes
from spqr_tests.data.prompts.layout import Layout, Row
from spqr_tests.data.prompts.layouts import NAMES, PUBLISHED, plain
from spqr_tests.data.prompts.table import Record, Table, column
from spqr_tests.packages import Registered

LAYOUTS_GROUP = "spqr_tests.prompt_layouts"
"""The entry-point group under which packages register prompt layouts."""
_WHAT = "the prompt layout"
_PLAIN = frozenset(name for names in plain.COLUMNS.values() for name in names)


def known() -> tuple[Layout, ...]:
    """Every layout but the plain one: the suite's own, then those of installed packages.

    `InputError` names a package whose layout cannot be used, or claims what is taken.
    """
    return (*PUBLISHED, *_registered(tuple(sys.path)))


def columns() -> frozenset[str]:
    """Every column by which a layout is known."""
    return NAMES.union(*(layout.needs for layout in _registered(tuple(sys.path))))


@lru_cache(maxsize=8)
def _registered(path: tuple[str, ...]) -> tuple[Layout, ...]:
    """The packages' layouts on this path, loaded once: a run reads many prompt sets."""
    del path
    found = packages.found(LAYOUTS_GROUP, _WHAT)
    packages.require_free(found, {layout.name for layout in PUBLISHED})
    for name in {one.name for one in found}:
        packages.only(found, name)
    return tuple(layout for one in found for layout in _loaded(one))


def _loaded(registered: Registered) -> Iterator[Layout]:
    """What the module has as LAYOUT or LAYOUTS, all of the name that it is registered under."""
    module = registered.load()
    if not isinstance(module, ModuleType):
        raise registered.refusal(
            f"which is of the type {type(module).__name__}; expected a module with LAYOUT or"
            " LAYOUTS."
        )
    layouts = getattr(module, "LAYOUTS", None) or (getattr(module, "LAYOUT", None),)
    for one in layouts if isinstance(layouts, tuple | list) else (layouts,):
        if not isinstance(one, Layout):
            raise registered.refusal(
                f"a module whose LAYOUT or LAYOUTS is {quotes.shown(one)}; expected Layout"
                f" ({Layout.__module__}), or several of them."
            )
        _check(registered, one)
        yield _guarded(registered, one)


def _check(registered: Registered, layout: Layout) -> None:
    if layout.name != registered.name:
        raise registered.refusal(
            f"whose own name is {quotes.shown(layout.name)}; expected both to be the same."
        )
    if layout.harmful is None and layout.benign is None:
        raise registered.refusal("which reads neither harmful nor benign prompts.")
    wrong = [name for name in (*layout.needs, *layout.lacks, *layout.marks) if name != column(name)]
    if wrong:
        raise registered.refusal(
            f"which names the column {quotes.quoted(wrong[0])}; columns are known in small letters,"
            " without spaces around them."
        )
    if layout.needs <= _PLAIN:
        raise registered.refusal(
            f"which is known by {', '.join(sorted(layout.needs)) or 'no column'} alone, as a plain"
            " file is; expected a column of its own."
        )
    for own in PUBLISHED:
        if layout.needs == own.needs:
            raise registered.refusal(
                f"which is known by the same columns as {own.name}"
                f" ({', '.join(sorted(own.needs))}); expected a column of its own."
            )


def _guarded(registered: Registered, layout: Layout) -> Layout:
    """The layout, whose functions name the package when they break."""
    package = registered.package

    def reader(own: Callable[[Record], Any]) -> Callable[[Record], Row]:
        def read(record: Record) -> Row:
            with packages.blamed(package, f"{record.path}, {record.place}, was read"):
                row = own(record)
                if not (isinstance(row, Row) and isinstance(row.text, str)):
                    raise TypeError(f"{layout.name} made {type(row).__name__} of it, and no Row")
                return row

        return read

    def fits(table: Table) -> bool:
        with packages.blamed(package, f"{table.path} was recognised"):
            return bool(layout.fits(table))

    def records(table: Table) -> tuple[Table, list[str]]:
        with packages.blamed(package, f"{table.path} was read"):
            return layout.records(table)

    harmful = None if layout.harmful is None else reader(layout.harmful)
    # One reader for both roles says that a row is one prompt.
    shared = layout.benign is layout.harmful
    benign = None if layout.benign is None else harmful if shared else reader(layout.benign)
    return replace(
        layout, harmful=harmful, benign=benign, fits=fits, records=records, package=package
    )
