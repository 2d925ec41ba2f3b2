"""The page on recipes: every number of each, with its source.

    python -m benchmarks.recipes

writes docs/recipes.md from the packaged recipes' own files.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.markdown import table
from benchmarks.numbers import DOCS
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.settings import recipes
from spqr_tests.settings.recipes import Recipe


def page() -> str:
    """The page of docs/."""
    text = Path(__file__).with_name("recipes.md.template").read_text(encoding="utf-8")
    found = [recipes.load(path) for path in PACKAGED.recipes.values()]
    return Template(text).substitute(recipes="\n".join(_section(one) for one in found))


def _section(recipe: Recipe) -> str:
    """A recipe with its numbers."""
    families = " and ".join(recipe.families) or "all models"
    rows = [
        (f"`{key}`", f"`{_shown(value)}`", recipe.sources[key])
        for key, value in _numbers(recipe.profile)
    ]
    return (
        f"## {recipe.name}\n\n{recipe.about} For {families}.\n\n"
        f"{table(('key', 'value', 'from'), rows)}"
    )


def _numbers(profile: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in profile.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{above}{key}.")
        else:
            yield above + key, value


def _shown(value: Any) -> str:
    # A bar would end the table's cell.
    text = " ".join(value) if isinstance(value, list) else str(value)
    return text.replace("|", "\\|")


def main() -> None:
    """Write docs/recipes.md."""
    (DOCS / "recipes.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
