"""Five languages, two domains, a personal LoRA and a ready adapter, in one report."""

import shutil
from pathlib import Path

from tests.running import PROTOCOL, Finished, start, thresholds
from tests.tiny.adapters import lora

LANGUAGES = {"arabic": "ar", "spanish": "es", "french": "fr", "hindi": "hi"}
DOMAINS = ("artistic", "medical")


def _protocol(folder: Path) -> Path:
    """The tiny protocol with more scenarios, each trained by one profile."""
    table = (
        f'extends = "{PROTOCOL}"\n[profiles.personal]\ntrains = "lora"\nsteps = 2\nreserved ='
        " true\n"
    )
    scenario = (
        '[scenarios.{0}]\nimages = "embedded:{1}"\nn = 16\nabout = "a test"\nprofiles ='
        ' ["{2}"]\n{3}\n'
    )
    for name, language in LANGUAGES.items():
        table += scenario.format(
            name, f"multilingual-{language}", "standard", f'language = "{language}"'
        )
    for name in DOMAINS:
        table += scenario.format(name, name, "standard", f'domain = "{name}"')
    table += scenario.format("personal", "personal", "personal", 'domain = "personal"')
    path = folder / "all.toml"
    path.write_text(table, encoding="utf-8")
    return path


def test_every_kind_of_fine_tune_has_its_spqr_in_one_report(
    warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    shutil.copytree(warm[0], tmp_path / "store")
    lora(tmp_path / "anime", 0.3)
    finished = start(
        "--model=embedded:uce",
        f"--spqr-protocol={_protocol(tmp_path)}",
        "--spqr-adapter=anime=anime",
        f"--spqr-thresholds={thresholds(tmp_path)}",
        f"--spqr-store={tmp_path / 'store'}",
        cwd=tmp_path,
        report=tmp_path,
    )
    report = finished.report
    assert report is not None, finished.output
    assert (finished.code, report["complete"], report["problems"]) == (0, True, {}), finished.output
    # The general ones are in the store.
    assert report["cost"]["finetuned"] == len(LANGUAGES) + len(DOMAINS) + 1
    cells = {(cell["profile"], cell["scenario"]): cell for cell in report["robustness"]}
    assert set(cells) == {
        *((profile, "general") for profile in ("lite", "moderate", "standard")),
        *(("standard", name) for name in (*LANGUAGES, *DOMAINS)),
        ("personal", "personal"),
        ("adapter", "anime"),
    }
    for cell in cells.values():
        assert 0 <= cell["spqr_low"] <= cell["spqr"] <= cell["spqr_high"] <= 1
        assert cell["drift_low"] <= cell["drift"] <= cell["drift_high"]
    trained = [cell for cell in cells.values() if cell["profile"] != "adapter"]
    assert {cell["language"] for cell in trained} == {"en", *LANGUAGES.values()}
    assert {cells["standard", name]["domain"] for name in DOMAINS} == set(DOMAINS)
