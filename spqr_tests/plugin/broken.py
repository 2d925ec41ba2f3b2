"""Broken tests: what the terminal shows of them."""

from collections.abc import Iterable

import pytest

from spqr_tests import quotes
from spqr_tests.errors import EvidenceError, InputError, place_of


def no_evidence(info: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether a test failed because the suite could not measure."""
    return info.errisinstance((EvidenceError, InputError))


def reason(info: pytest.ExceptionInfo[BaseException]) -> str:
    """Why a test broke, in a line."""
    text = str(info.value) if no_evidence(info) else info.exconly(tryshort=True)
    return text.splitlines()[0]


def sentence(error: BaseException) -> str:
    """What a user needs of an error without evidence: its sentence, and where its cause arose."""
    place = quotes.line(place_of(error))
    return f"{error}\n(raised in {place})" if place else str(error)


def shorten(reports: Iterable[pytest.TestReport]) -> None:
    """Refer to the first test that failed with the same sentence, instead of repeating it.

    To be called once other viewers of the reports, such as JUnit XML, have read them.
    """
    same: dict[str, list[pytest.TestReport]] = {}
    for report in reports:
        if isinstance(report.longrepr, str) and report.longrepr:
            report.longrepr = quotes.lines(report.longrepr)
            same.setdefault(report.longrepr.splitlines()[0], []).append(report)
    for first, *others in same.values():
        # Where it arose, which follows the sentence, is known to one test alone, and with several
        # workers that test may not be the first to report.
        first.longrepr = max((str(one.longrepr) for one in (first, *others)), key=len)
        for report in others:
            report.longrepr = f"as in {first.nodeid}"
