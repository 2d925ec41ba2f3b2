"""A page in one HTML file that loads nothing and runs nothing."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from spqr_tests.reports.tables.page import Name, Page, Plot, shown
from spqr_tests.reports.tables.text import sentence, short
from spqr_tests.verdict.estimate import Estimate


def page(found: Page) -> str:
    """The page, with its plots inside."""
    environment = Environment(
        loader=PackageLoader("spqr_tests.reports.tables", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(sentence=sentence, short=short, shown=shown)
    environment.tests.update(
        plot=lambda one: isinstance(one, Plot),
        name=lambda one: isinstance(one, Name),
        estimate=lambda one: isinstance(one, Estimate),
    )
    return environment.get_template("page.html.jinja").render(page=found)
