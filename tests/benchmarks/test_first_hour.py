"""The first hour: its commands are those of the pages, and what a step says ends up on the page."""

import pytest

from benchmarks import first_hour
from benchmarks.first_hour import SCHEMA, FirstHour, Ran, Step
from benchmarks.numbers import DOCS, read


@pytest.mark.parametrize("step", first_hour.steps(), ids=lambda step: step.what[:30])
def test_a_step_is_what_its_page_says(step: Step) -> None:
    written = (DOCS.parent / step.page).read_text(encoding="utf-8")
    for word in step.command.split():
        if word.startswith("--spqr") or word.endswith(".yml"):
            assert word.partition("=")[0] in written
    for name in step.variables:
        assert f"{name}:" in written
    if step.page == "README.md" and "--spqr-report" not in step.command:
        assert step.command in written


def test_the_page_is_that_of_its_numbers() -> None:
    found = read(FirstHour, DOCS / f"{first_hour.NAME}.json")
    assert (DOCS / f"{first_hour.NAME}.md").read_text(encoding="utf-8") == first_hour.page(found)
    assert [(one.what, one.command, one.code) for one in found.steps] == [
        (step.what, step.command, step.code) for step in first_hour.steps()
    ]


def test_the_page_has_every_step_and_its_time() -> None:
    steps = [
        Ran(
            what=step.what,
            page=step.page,
            command=step.command,
            code=step.code,
            seconds=60 * place,
            says=f"PASS: {place}",
        )
        for place, step in enumerate(first_hour.steps(), 1)
    ]
    page = first_hour.page(FirstHour(schema_=SCHEMA, machine="one core", steps=steps))
    assert f"Together {sum(range(1, len(steps) + 1))} minutes" in page
    for one in steps:
        assert f"| `{one.command}` | {one.code} | {one.seconds:.0f} |" in page
        assert f"*{one.says}*" in page
