"""Distributions that tests install into a folder: their metadata, entry points and modules."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


def install(
    site: Path, name: str, group: str, points: Mapping[str, str], *, version: str = "1.2"
) -> Path:
    """Write the metadata of a distribution that registers `points` in a group; its site."""
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in points.items()), ""]
    (about / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return site


@contextmanager
def on_path(*folders: Path) -> Iterator[None]:
    """The folders come first on this process's path; their modules are forgotten at the end.

    Another test's package may have the same name, and would not be imported.
    """
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(folder)
        yield
    for name, module in [*sys.modules.items()]:
        where = getattr(module, "__file__", None)
        if where and any(Path(where).is_relative_to(folder) for folder in folders):
            del sys.modules[name]
