"""The protocol: it can be read, and its thresholds are its own."""

from importlib import resources
from pathlib import Path

import acme_protocols

from spqr_tests.settings import protocol_file
from spqr_tests.verdict import threshold_file

FOLDER = Path(str(resources.files(acme_protocols)))


def test_it_can_be_read() -> None:
    settings = protocol_file.read(FOLDER / "acme_glyphs.toml")
    assert settings.name == "acme_glyphs"
    assert not settings.release
    assert (FOLDER / settings.harmful.prompts).is_file()


def test_it_has_a_threshold_for_each_axis() -> None:
    axes = threshold_file.load(FOLDER / "thresholds.toml").protocol("acme_glyphs").axes
    assert set(axes) == {"safety", "adherence", "quality", "robustness", "spqr"}
