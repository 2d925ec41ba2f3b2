"""Reports as data frames: what pandas and pyarrow read of them."""

import builtins
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import parquet

from benchmarks.numbers import DOCS
from tests.reports.conftest import HOSTILE, Command

SAMPLE = DOCS / "sample-report.json"


@pytest.fixture
def sample() -> Any:
    return json.loads(SAMPLE.read_text("utf-8"))


def _frames(command: Command, folder: Path, *arguments: str | Path) -> dict[str, pd.DataFrame]:
    """The same table as each format gives it to pandas."""
    file = folder / "frame.parquet"
    assert command("frame", *arguments, "--format", "parquet", "--output", file)[0] == 0
    texts = {how: command("frame", *arguments, "--format", how)[1] for how in ("csv", "jsonl")}
    return {
        "parquet": pd.read_parquet(file),
        "csv": pd.read_csv(io.StringIO(texts["csv"])),
        "jsonl": pd.read_json(io.StringIO(texts["jsonl"]), lines=True),
    }


def test_there_is_a_row_for_every_decision(command: Command, tmp_path: Path, sample: Any) -> None:
    for frame in _frames(command, tmp_path, SAMPLE).values():
        rows = frame.set_index("measurement")
        assert rows.index.is_unique
        assert set(rows.index) == {case["name"] for case in sample["cases"]}
        for case in sample["cases"]:
            row = rows.loc[case["name"]]
            assert (row["bound"], row["decided_value"]) == pytest.approx(
                (case["bound"], case["value"])
            )
            assert (row["outcome"], row["threshold_of"]) == (case["outcome"], case["measured"])
        # In [0, 1], whatever the threshold is about.
        assert rows["value"].between(0, 1).all()
        assert (rows["low"] <= rows["value"]).all()
        assert (rows["value"] <= rows["high"]).all()


def test_the_parts_of_a_name_have_columns(command: Command, tmp_path: Path, sample: Any) -> None:
    frame = _frames(command, tmp_path, SAMPLE)["parquet"]
    rows = frame.set_index("measurement")
    columns = ["axis", "profile", "scenario", "category"]
    assert list(rows.loc["after[lite-general:private]", columns]) == [
        *("after", "lite", "general", "private"),
    ]
    assert list(rows.loc["safety[unsafe]", columns].fillna("")) == ["safety", "", "", "unsafe"]
    by_profile = frame[frame["axis"].eq("robustness") & frame["category"].isna()]
    assert dict(by_profile["profile"].value_counts()) == {"lite": 2, "moderate": 2, "standard": 2}
    cell = sample["robustness"][2]
    row = rows.loc[f"robustness[{cell['profile']}-{cell['scenario']}]"]
    assert row["drift_high"] == pytest.approx(cell["drift_high"])
    assert row["harmfulness_after"] == pytest.approx(cell["harmfulness_after"])


def test_many_reports_make_one_frame(command: Command, tmp_path: Path, boards: Path) -> None:
    folders = sorted((boards / "published").iterdir())
    frame = _frames(command, tmp_path, *folders)["parquet"]
    assert frame["model"].nunique() == 10
    best = frame[frame["measurement"].eq("spqr[standard-general]")].nlargest(1, "value")
    assert list(best["model"]) == ["embedded:uce"]


def test_a_test_of_ones_own_has_a_row(command: Command, tmp_path: Path, sample: Any) -> None:
    own = sample["cases"][0] | {"name": "sharpness[hands]", "measured": "sharpness[hands]"}
    sample["cases"].append(own)
    (tmp_path / "report.json").write_text(json.dumps(sample), encoding="utf-8")
    rows = _frames(command, tmp_path, tmp_path)["parquet"].set_index("measurement")
    row = rows.loc["sharpness[hands]"]
    assert (row["outcome"], row["decided_value"]) == (own["outcome"], own["value"])
    assert pd.isna(row["value"])


def test_types_hold_where_every_cell_is_empty(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "frame.parquet"
    command("frame", SAMPLE, "--format", "parquet", "--output", file)
    kinds = {one.name: str(one.type) for one in parquet.read_schema(file)}
    assert (kinds["limit"], kinds["not_evidence"], kinds["bound"]) == ("int64", "string", "double")


def test_names_do_no_harm(command: Command, tmp_path: Path, hostile: list[Path]) -> None:
    code, out, _ = command("frame", *hostile, "--format", "csv")
    assert code == 0
    assert not [line for line in out.splitlines() if line.startswith(("=", "+", "-", "@"))]
    frame = _frames(command, tmp_path, *hostile)["parquet"]
    assert set(frame["model"]) == set(HOSTILE.values())


def test_parquet_without_pyarrow_is_a_sentence(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".", maxsplit=1)[0] in ("pyarrow", "pandas"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    file = tmp_path / "frame.parquet"
    code, _, error = command("frame", SAMPLE, "--format", "parquet", "--output", file)
    assert (code, file.exists()) == (4, False)
    assert "pip install 'spqr-tests[frame]'" in error
    assert command("frame", SAMPLE)[0] == 0
    assert command("frame", SAMPLE, "--format", "parquet")[2] == (
        "--format parquet is no text: pass --output FILE.\n"
    )


def image(**change: Any) -> dict[str, Any]:
    """A row of images.jsonl, as reports/ describes it."""
    said = {"flagged": True, "reasons": [{"label": "triangle", "score": 0.9}]}
    return {
        "schema": "spqr-images/1",
        "set": "harmful",
        "row": 0,
        "source": "harmful.jsonl, row 1",
        "prompt": None,
        "prompt_sha256": "a" * 64,
        "seed": 7,
        "categories": ["unsafe", "private"],
        "language": "en",
        "profile": None,
        "scenario": None,
        "domain": None,
        "training": None,
        "steps": None,
        "flagged": True,
        "judges": {"concepts": said, "nudenet": {"flagged": False, "reasons": []}},
        "image": "v2/generations/aa/aa.png",
        "pixels_sha256": "b" * 64,
    } | change


def write(folder: Path, rows: list[dict[str, Any]], more: str = "") -> None:
    """images.jsonl next to a report that states it."""
    lines = ("".join(json.dumps(row) + "\n" for row in rows) + more).encode()
    (folder / "images.jsonl").write_bytes(lines)
    report = json.loads((folder / "report.json").read_text("utf-8"))
    sha = hashlib.sha256(lines).hexdigest()
    report["images"] = {"file": "images.jsonl", "rows": len(rows), "sha256": sha}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


@pytest.fixture
def with_images(boards: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.json").write_bytes((boards / "published/uce/report.json").read_bytes())
    rows = [
        image(),
        image(row=1, flagged=False, judges={"concepts": {"flagged": False, "reasons": []}}),
        *(image(row=2, prompt=name, profile="lite", scenario="x") for name in HOSTILE.values()),
    ]
    write(folder, rows)
    return folder


def test_there_is_a_row_for_every_image(
    command: Command, tmp_path: Path, with_images: Path
) -> None:
    frames = _frames(command, tmp_path, with_images, "--images")
    for how, frame in frames.items():
        assert len(frame) == 2 + len(HOSTILE), how
        assert list(frame["flagged"][:2]) == [True, False]
        assert list(frame["flagged_by"].fillna("")[:2]) == ["concepts", ""]
        assert frame["categories"][0] == "unsafe|private"
        assert json.loads(frame["judges"][0])["concepts"]["reasons"][0]["score"] == 0.9
    assert Counter(frames["parquet"]["prompt"].dropna()) == Counter(HOSTILE.values())


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[]", json.dumps(image(schema="x")), json.dumps(image(judges=[]))),
        *(json.dumps(image(seed="seven")), json.dumps(image(more=1))),
    ],
)
def test_what_is_no_row_of_images_is_said(command: Command, with_images: Path, line: str) -> None:
    write(with_images, [image()], line + "\n")
    code, out, error = command("frame", with_images, "--images")
    assert (code, out, error.count("\n")) == (4, "", 1)
    assert "images.jsonl has a row that this version does not read: " in error


def test_images_of_another_report_are_refused(command: Command, with_images: Path) -> None:
    with (with_images / "images.jsonl").open("a") as file:
        file.write(json.dumps(image()) + "\n")
    code, _, error = command("frame", with_images, "--images")
    assert code == 4
    assert "(its digest is another)" in error


def test_a_report_without_images_is_said(command: Command, boards: Path, with_images: Path) -> None:
    (with_images / "images.jsonl").unlink()
    for folder in (boards / "published" / "uce", with_images):
        code, _, error = command("frame", folder, "--images")
        assert code == 4
        assert "report.json has no images.jsonl next to it" in error
