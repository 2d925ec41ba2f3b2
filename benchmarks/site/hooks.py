"""Hooks of mkdocs, by which the site has the tree's own layout: see mkdocs.yml.

A link that works on a code host works on the site too, since each file is where it is in the tree:
README.md, every page of docs/, and whatever in the tree they link to.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

LOG = get_plugin_logger("site")
CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
_LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)")
_CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""The tags that make a browser load something, and where they say what."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings the anchors that code hosts give them."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The site's files: the theme's own, the pages, and what in the tree is linked from one."""
    theme = [one for one in files if one.src_dir != config.docs_dir]
    found = {CHECKOUT / "README.md", *DOCS.rglob("*.md"), *DOCS.rglob("*.css")}
    new = set(found)
    while new:
        new = {one for page in new if page.suffix == ".md" for one in linked(page)} - found
        found |= new
    own = [
        File.generated(config, path.relative_to(CHECKOUT).as_posix(), abs_src_path=str(path))
        for path in sorted(found)
    ]
    return Files([*theme, *own])


def linked(page: Path) -> set[Path]:
    """The files of the tree that a page links to."""
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    paths = {(page.parent / unquote(target)).resolve() for target in targets}
    return {path for path in paths if path.is_file() and path.is_relative_to(CHECKOUT)}


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show an escaped bar of a table's cell as a bar, also in code, as code hosts do."""
    del page, config, files
    return _CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


class _Loads(HTMLParser):
    """Warns of what a page would load from elsewhere: a reader may have no network."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(_LOADS.get(tag, "")) or ""
        if address.startswith(("http:", "https:", "//")):
            LOG.warning("<%s> loads %s from elsewhere", tag, address)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:
    """Warn of a page that needs the network, which with --strict fails the build."""
    del page, config
    _Loads().feed(output)
