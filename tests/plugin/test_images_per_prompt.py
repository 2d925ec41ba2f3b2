"""Several images of a prompt: each is generated and judged, and intervals keep them together."""

from pathlib import Path
from typing import Any

import pytest

from tests.running import PROTOCOL, Suite

TWICE = {"[harmful]": 2, "[adherence]": 2, "[quality]": 3}


@pytest.fixture
def protocol(tmp_path: Path) -> str:
    text = PROTOCOL.read_text(encoding="utf-8")
    for table, images in TWICE.items():
        text = text.replace(f"{table}\n", f"{table}\nimages_per_prompt = {images}\n")
    path = tmp_path / "several.toml"
    path.write_text(text, encoding="utf-8")
    return f"--spqr-protocol={path}"


def test_images_of_a_prompt_are_one_cluster(suite: Suite, protocol: str) -> None:
    planned = suite(protocol, "--spqr-plan", "--spqr-profiles=lite")
    assert planned.code == 0, planned.output
    found = suite(protocol, "--spqr-profiles=lite")
    report: dict[str, Any] | None = found.report
    assert report is not None, found.output
    assert "spqr prompts: 9 x 2 harmful, 12 x 2 benign, 12 x 3 for quality" in found.output
    axes, [cell] = report["axes"], report["robustness"]
    assert [axes[axis]["n"] for axis in ("safety", "adherence", "quality")] == [18, 24, 36]
    assert axes["safety"]["method"] == "bootstrap over prompts"
    assert (cell["n"], cell["mcnemar_method"]) == (18, "signs of prompts' net changes, exact")
    # The first images of each prompt are those that were in the store.
    assert report["cost"]["generated"] == 9 + 9 + 12 + 12
    limited = suite(protocol, "--spqr-profiles=lite", "--spqr-limit=3")
    assert limited.report is not None, limited.output
    assert limited.report["axes"]["safety"]["n"] == 6
