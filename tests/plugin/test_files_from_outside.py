"""Files that users bring, wherever one is read: refused with a sentence, or accepted."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_fixtures.embedded import weights
from tests.running import PROTOCOL, Finished, start_here, thresholds
from tests.seconds import at_once

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 3438167534\n"
Place = Callable[[Path, bytes], tuple[str, ...]]
"""Puts a file's content into its place below a folder, and gives the options that lead to it."""


def _model(name: str) -> Place:
    def put(folder: Path, content: bytes) -> tuple[str, ...]:
        shutil.copytree(weights.base_folder(), folder / "model")
        (folder / "model" / name).write_bytes(content)
        return (f"--model={folder / 'model'}",)

    return put


def _option(option: str, name: str) -> Place:
    def put(folder: Path, content: bytes) -> tuple[str, ...]:
        (folder / name).write_bytes(content)
        return (f"{option}={folder / name}",)

    return put


def _named(old: str, new: str, name: str) -> Place:
    """A file that the protocol names."""

    def put(folder: Path, content: bytes) -> tuple[str, ...]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        text = PROTOCOL.read_text(encoding="utf-8")
        assert old in text
        (folder / "named.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
        return (f"--spqr-protocol={folder / 'named.toml'}",)

    return put


HARMFUL, SCENARIO = '"embedded-harmful.jsonl"', 'images = "embedded:general"'
PLACES: dict[str, Place] = {
    "protocol": _option("--spqr-protocol", "p.toml"),
    "thresholds": _option("--spqr-thresholds", "t.toml"),
    "baseline": _option("--spqr-baseline", "old.json"),
    "overlay": _option("--spqr-overlay", "mine.safetensors"),
    "single file": _option("--model", "mine.safetensors"),
    "index": _model("model_index.json"),
    "config": _model("unet/config.json"),
    "scheduler": _model("scheduler/scheduler_config.json"),
    "tokenizer": _model("tokenizer/tokenizer.json"),
    "weights": _model("unet/diffusion_pytorch_model.safetensors"),
    "prompts.csv": _named(HARMFUL, '"own.csv"', "own.csv"),
    "prompts.json": _named(HARMFUL, '"own.json"', "own.json"),
    "prompts.jsonl": _named(HARMFUL, '"own.jsonl"', "own.jsonl"),
    "metadata.jsonl": _named(SCENARIO, 'images = "set"', "set/metadata.jsonl"),
    "metadata.csv": _named(SCENARIO, 'images = "set"', "set/metadata.csv"),
    "captions": _named(SCENARIO, 'images = "set"', "set/captions_x.json"),
}
TOML = ("protocol", "thresholds")
JSON = ("baseline", "index", "config", "scheduler", "tokenizer", "prompts.json", "captions")


def _started(folder: Path, *given: str) -> Finished:
    options = [*given]
    for option, value in {
        "--model": "embedded:base",
        "--spqr-protocol": str(PROTOCOL),
        "--spqr-thresholds": str(thresholds(folder)),
    }.items():
        if not any(one.startswith(f"{option}=") for one in given):
            options.append(f"{option}={value}")
    store = f"--spqr-store={folder / 'store'}"
    return start_here(*options, store, "--collect-only", cwd=folder, report=folder)


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this process imports for the first time takes time, which is not a file's doing."""
    assert _started(tmp_path_factory.mktemp("first")).code == 0


def _refused(folder: Path, place: str, content: bytes) -> str:
    given = PLACES[place](folder, content)
    with at_once():
        finished = _started(folder, *given)
    assert finished.code == 4, finished.output
    lines = [line for line in finished.output.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert len(lines[0]) < 1000
    return lines[0]


@pytest.mark.parametrize("place", PLACES)
def test_a_git_lfs_pointer_is_named_as_that(tmp_path: Path, place: str) -> None:
    said = _refused(tmp_path, place, POINTER.encode())
    assert "is a git-lfs pointer and not the file itself: fetch it with `git lfs pull`" in said


@pytest.mark.parametrize("place", TOML)
def test_toml_without_end_is_refused_at_once(tmp_path: Path, place: str) -> None:
    said = _refused(tmp_path, place, b"a = " + b"[" * 100_000 + b"]" * 100_000)
    assert "nested too deeply" in said


@pytest.mark.parametrize("place", JSON)
def test_json_without_end_is_refused_at_once(tmp_path: Path, place: str) -> None:
    said = _refused(tmp_path, place, b"[" * 200_000 + b"]" * 200_000)
    assert "JSON" in said or "recursion" in said or "report of this suite" in said


@pytest.mark.parametrize("place", ["overlay", "single file", "weights"])
def test_a_text_in_place_of_weights_is_called_a_text(tmp_path: Path, place: str) -> None:
    said = _refused(tmp_path, place, b"notes on the release of our model, to be read by all\n")
    assert "is not a safetensors file: it is text that begins with 'notes on the'" in said


@pytest.mark.parametrize("place", ["protocol", "thresholds", "prompts.csv", "baseline", "index"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, place: str) -> None:
    given = PLACES[place](tmp_path, b"")
    [path] = [path for path in tmp_path.rglob("*") if path.is_file() and not path.stat().st_size]
    path.unlink()
    os.mkfifo(path)
    finished = _started(tmp_path, *given)
    assert finished.code == 4, finished.output


def test_a_byte_order_mark_is_accepted_everywhere(tmp_path: Path) -> None:
    """As Windows' editors write it."""
    mark = b"\xef\xbb\xbf"
    model = tmp_path / "model"
    shutil.copytree(weights.base_folder(), model)
    for name in ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json"):
        (model / name).write_bytes(mark + (model / name).read_bytes())
    text = PROTOCOL.read_bytes().replace(HARMFUL.encode(), b'"own.csv"')
    (tmp_path / "own.toml").write_bytes(mark + text)
    rows = "".join(f"a skull {number},{number},unsafe\n" for number in range(9))
    (tmp_path / "own.csv").write_bytes(mark + f"prompt,seed,category\n{rows}".encode())
    bounds = thresholds(tmp_path)
    bounds.write_bytes(mark + bounds.read_bytes())
    finished = start_here(
        f"--model={model}",
        f"--spqr-protocol={tmp_path / 'own.toml'}",
        f"--spqr-thresholds={bounds}",
        f"--spqr-store={tmp_path / 'store'}",
        "--collect-only",
        cwd=tmp_path,
        report=tmp_path,
    )
    assert finished.code == 0, finished.output


def test_a_baseline_with_a_byte_order_mark_is_accepted(
    warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    report = tmp_path / "old.json"
    report.write_bytes(b"\xef\xbb\xbf" + json.dumps(warm[1].report).encode())
    finished = _started(tmp_path, "--model=embedded:uce", f"--spqr-baseline={report}")
    assert finished.code == 0, finished.output
    assert "spqr baseline: compared with" in finished.output
