"""Distributions that tests install into a folder: their metadata, entry points and modules."""

from collections.abc import Mapping
from pathlib import Path


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
