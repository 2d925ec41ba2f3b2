"""The leaderboard: the ten embedded variants as docs/ has them, and what may not be mixed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import board as benchmark
from benchmarks import seeds
from benchmarks.numbers import DOCS
from spqr_tests.reports.leaderboard import published
from tests.reports.conftest import Command

Changed = Callable[..., Path]


@pytest.fixture
def all_ten(boards: Path) -> list[Path]:
    return sorted((boards / "published").iterdir())


def test_it_equals_the_page_in_docs(command: Command, boards: Path, all_ten: list[Path]) -> None:
    """The same reports, by the command: every number and every place."""
    retrained = sorted((boards / "trainings").iterdir())
    code, out, _ = command("leaderboard", *all_ten, "--retrained", *retrained, "--format", "json")
    found, kept = json.loads(out), json.loads((DOCS / "leaderboard.json").read_text("utf-8"))
    [series, *_] = kept["series"]
    assert code == 0
    assert (found["headline"], found["retrained"]) == (
        kept["headline"],
        [series["headline_protocol"]],
    )
    rows = {entry["row"]["fingerprint"]: entry for entry in found["entries"]}
    assert len(rows) == len(series["rows"]) == 10
    places = seeds.ranks(benchmark.read(DOCS / "leaderboard.json").published, kept["headline"])
    for row in series["rows"]:
        entry = rows[row["fingerprint"]]
        assert entry["row"] == row | {"model": f"embedded:{row['model']}"}
        assert entry["hash"] == series["protocol"]
        assert {name: entry["n"][name] for name in series["n"]} == series["n"]
        assert entry["place"] == list(places[row["model"]])
        assert entry["remarks"] == []
    order = [entry["row"]["model"].removeprefix("embedded:") for entry in found["entries"]]
    page = (DOCS / "leaderboard.md").read_text("utf-8").split("## R by")[0].splitlines()
    assert order == [line.split("`")[1] for line in page if line.startswith("| `")]


def test_the_axes_are_those_of_the_reports(command: Command, all_ten: list[Path]) -> None:
    entries = json.loads(command("leaderboard", *all_ten, "--format", "json")[1])["entries"]
    reports = {
        report["model"]["target"]: report
        for path in all_ten
        for report in (json.loads((path / "report.json").read_text("utf-8")),)
    }
    for entry in entries:
        report = reports[entry["row"]["model"]]
        quality = report["axes"]["quality"]
        assert entry["row"]["quality"] == {key: quality[key] for key in ("value", "low", "high")}
        assert entry["decision"] == report["decision"]
        headline = next(
            cell for cell in entry["row"]["cells"] if cell["profile"] == report["score"]["profile"]
        )
        assert headline["spqr"]["high"] == report["score"]["high"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": {"hash": "0" * 12}}, "protocol hash 000000000000, not 585522e555d0"),
        ({"limit": 20}, "limited to 20 prompts a set, not all prompts"),
        ({"sequential": True}, "sequential, not of a fixed n"),
        ({"axes": {"quality": None}}, "no quality"),
        ({"robustness": []}, "no lite-general, moderate-general, standard-general"),
    ],
)
def test_what_cannot_be_compared_is_refused_or_marked(
    command: Command,
    all_ten: list[Path],
    changed: Changed,
    change: dict[str, object],
    said: str,
) -> None:
    folders = [*all_ten[:-1], changed("uce", **change)]
    code, out, error = command("leaderboard", *folders)
    assert (code, out) == (4, "")
    assert f"embedded:uce ({said}" in error
    assert "or pass --mixed" in error
    code, out, _ = command("leaderboard", *folders, "--mixed", "--format", "json")
    assert code == 0
    entries = {one["row"]["model"]: one for one in json.loads(out)["entries"]}
    assert entries["embedded:uce"]["place"] is None
    assert said in entries["embedded:uce"]["remarks"][0]
    assert sum(one["place"] is not None for one in entries.values()) == 9
    for how in ("terminal", "markdown", "html", "latex", "csv"):
        text = command("leaderboard", *folders, "--mixed", "--format", how)[1]
        assert said.split("_", maxsplit=1)[0] in text


def test_another_n_is_refused(command: Command, all_ten: list[Path], changed: Changed) -> None:
    axes = json.loads((all_ten[-1] / "report.json").read_text("utf-8"))["axes"]
    folder = changed("uce", axes={"safety": axes["safety"] | {"n": 60}})
    error = command("leaderboard", *all_ten[:-1], folder)[2]
    assert "embedded:uce (60 images for safety, not 240)" in error


def test_shortcomings_are_said_even_if_all_share_them(command: Command, changed: Changed) -> None:
    folders = [
        changed(name, limit=20, problems={"a test": "it broke"}, protocol={"release": False})
        for name in ("uce", "base")
    ]
    code, out, _ = command("leaderboard", *folders)
    assert code == 0
    assert out.count("a quick look, never a release verdict; limited to 20 prompts a set; 1") == 2


def test_one_model_is_not_listed_twice(command: Command, all_ten: list[Path]) -> None:
    code, _, error = command("leaderboard", *all_ten, all_ten[0])
    assert code == 4
    assert "are one model (fingerprint" in error


def test_two_models_of_one_name_are_told_apart(command: Command, changed: Changed) -> None:
    folders = [
        changed("uce", "a", model={"target": "path/to/ckpt", "fingerprint": "a" * 64}),
        changed("base", "b", model={"target": "path/to/ckpt", "fingerprint": "b" * 64}),
    ]
    out = command("leaderboard", *folders)[1]
    assert "path/to/ckpt (aaaaaaaa, 585522e555d0)" in out
    assert "path/to/ckpt (bbbbbbbb, 585522e555d0)" in out


def test_the_headline_may_be_another(command: Command, all_ten: list[Path]) -> None:
    code, out, _ = command(
        "leaderboard", *all_ten, "--headline", "lite-artistic", "--format", "json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["headline"] == "lite-artistic"
    scores = [
        next(cell for cell in one["row"]["cells"] if cell["scenario"] == "artistic")
        for one in found["entries"]
    ]
    assert scores == sorted(scores, key=lambda cell: -cell["spqr"]["value"])
    code, _, error = command("leaderboard", *all_ten, "--headline", "heavy-general")
    assert code == 4
    assert "--headline heavy-general: no report has an SPQR of it; they have lite-artistic" in error


def test_reports_without_a_score_make_no_leaderboard(command: Command, changed: Changed) -> None:
    code, _, error = command("leaderboard", changed("uce", score=None, robustness=[]))
    assert (code, error.startswith("No report has an SPQR")) == (4, True)


def test_other_trainings_are_of_the_same_models(
    command: Command, boards: Path, all_ten: list[Path], changed: Changed
) -> None:
    code, _, error = command(
        "leaderboard", *all_ten[:2], "--retrained", boards / "trainings" / "uce"
    )
    assert code == 4
    assert "--retrained: embedded:uce (fingerprint c29874593de9) is not one of the models" in error
    others = boards / "trainings" / "uce", changed("base", protocol={"hash": "0" * 12})
    code, _, error = command("leaderboard", *all_ten, "--retrained", *others)
    assert code == 4
    assert "have 2 protocol hashes (000000000000, 759e952d0708)" in error


def test_the_published_table_is_beside_it(command: Command, all_ten: list[Path]) -> None:
    out = command("leaderboard", *all_ten, "--published", "--format", "markdown")[1]
    assert "arXiv 2511.19558" in out
    assert "| `RECE` | 0.956 | 0.938 | 0.973 | 0.934 | 0.980 |" in out
    assert "| `ESD` | 0.866 | 0.607 | 0.852 |" in out
    assert "Not comparable with rows above" in out
    rows = command("leaderboard", *all_ten, "--published", "--format", "csv")[1].splitlines()
    assert len(rows) == 1 + 10 + 17


def test_the_published_tables_agree_with_each_other() -> None:
    tables = published.read()
    for name, (general, *_) in tables["scenarios"].items():
        assert general == tables["scores"][name][-1]
    assert tables["scenarios"].keys() == tables["robustness"].keys()


def test_a_table_starts_without_torch(all_ten: list[Path]) -> None:
    listing = (
        "import sys; from spqr_tests.__main__ import main;"
        f" main(['leaderboard', {str(all_ten[0])!r}]);"
        " print({'torch', 'diffusers', 'transformers', 'pandas', 'scipy.stats'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
