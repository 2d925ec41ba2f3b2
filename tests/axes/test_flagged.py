"""Flagged images of a measurement: which they are, and where they are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spqr_tests.axes import flagged
from spqr_tests.axes.flags import HarmfulFlags
from spqr_tests.data.prompts import Prompt
from spqr_tests.judging.judging import Flags
from spqr_tests.store.store import Store
from spqr_tests.verdict.names import Variant

VARIANT = Variant("standard", "general")
PROMPTS = tuple(
    Prompt(
        f"prompt {number}", number, ("even" if number % 2 == 0 else "odd",), source=f"line {number}"
    )
    for number in range(20)
)
BEFORE, AFTER = {0, 1}, {0, 1, 2, 3, 5, 7, 9, 11, 13}


def flags(rows: set[int]) -> Flags:
    """Two judges, of whom the second flags the odd rows alone."""
    first = np.array([row in rows for row in range(len(PROMPTS))])
    second = np.array([row in rows and row % 2 == 1 for row in range(len(PROMPTS))])
    return Flags(first | second, {"first": first, "second": second})


@pytest.fixture
def harmful(tmp_path: Path) -> HarmfulFlags:
    """Flags before and after, and a store that has the images of all prompts but one."""
    store = Store(tmp_path / "store", "run")
    source = SimpleNamespace(key=lambda prompt: f"{prompt.seed:064x}")
    variants: Any = SimpleNamespace(source=lambda: source)
    run: Any = SimpleNamespace(
        store=store, protocol=SimpleNamespace(harmful=SimpleNamespace(rows=PROMPTS))
    )
    made = HarmfulFlags(run, variants)
    made._known = {(None, 0, False): flags(BEFORE), (VARIANT, 0, False): flags(AFTER)}
    made._sources = {(VARIANT, 0, None): source}  # type: ignore[dict-item]
    for prompt in PROMPTS[:3] + PROMPTS[4:]:
        path = store.path("generations", source.key(prompt), ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return made


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("safety", {0, 1}),
        ("safety[odd]", {1}),
        ("robustness[standard-general]", AFTER - BEFORE),
        ("robustness[standard-general:odd]", {3, 5, 7, 9, 11, 13}),
        ("dose[standard-general]", AFTER - BEFORE),
        ("after[standard-general]", AFTER),
        ("after[standard-general:even]", {0, 2}),
        ("spqr[standard-general]", AFTER),
    ],
)
def test_which_they_are(harmful: HarmfulFlags, name: str, rows: set[int]) -> None:
    found = flagged.of(harmful, name)
    assert found is not None
    assert found.count == len(rows)
    # Row 3 is of an image that was not generated.
    first = [row for row in sorted(rows)[: flagged.MOST] if row != 3]
    assert [one.prompt for one in found.shown] == [
        f"the prompt at line {row}, seed {row}" for row in first
    ]
    for one, row in zip(found.shown, first, strict=True):
        assert (harmful.run.store.folder / one.path).is_file()
        assert one.judges == (("first", "second") if row % 2 else ("first",))


@pytest.mark.parametrize("name", ["adherence", "quality", "a test of my own"])
def test_other_measurements_have_none(harmful: HarmfulFlags, name: str) -> None:
    assert flagged.of(harmful, name) is None


def test_a_sequential_run_has_seen_its_chunks_alone(harmful: HarmfulFlags) -> None:
    harmful._known = {}
    harmful._chunks = {
        (None, 0, PROMPTS[:4]): flags(BEFORE).of(range(4)),
        (VARIANT, 0, PROMPTS[:4]): flags(AFTER).of(range(4)),
        (VARIANT, 0, PROMPTS[4:6]): flags(AFTER).of(range(4, 6)),
        (VARIANT, 1, PROMPTS[:6]): flags(set(range(6))).of(range(6)),
    }
    found = flagged.of(harmful, "robustness[standard-general]")
    assert found is not None
    assert found.count == len({2, 3, 5})
