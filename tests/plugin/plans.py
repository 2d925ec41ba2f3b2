"""Sessions with `--spqr-plan`, and a model of real size to plan for."""

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.checkpoint.backbones.stable_diffusion import BACKBONE
from spqr_tests.checkpoint.formats.tokenizers import ClipVocabulary
from tests.running import PROTOCOL, thresholds

VARIANTS = ["lite-general", "moderate-general", "standard-general"]


@dataclass(frozen=True)
class Planned:
    """A session with `--spqr-plan` that ended."""

    code: int
    output: str
    plan: dict[str, Any] | None

    def rows(self, of: str) -> list[dict[str, Any]]:
        assert self.plan is not None, self.output
        found: list[dict[str, Any]] = self.plan[of]
        return found

    def to_make(self, of: str) -> int:
        return sum(row["images"] - row["stored"] for row in self.rows(of))


Plan = Callable[..., Planned]


def start(folder: Path, *arguments: str | Path) -> Planned:
    """Run pytest in `folder` and in this process.

    It shares the modules: in a new process, importing torch would take most of the time.
    """
    written = folder / "report" / "plan.json"
    written.unlink(missing_ok=True)
    output = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        code = pytest.main(
            [*map(str, arguments), "-s", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
        )
    assert not written.with_name("report.json").exists()
    found = json.loads(written.read_text(encoding="utf-8")) if written.exists() else None
    return Planned(int(code), output.getvalue(), found)


def planned(
    folder: Path,
    store: Path,
    *arguments: str | Path,
    model: str | Path = "embedded:uce",
    protocol: Path = PROTOCOL,
) -> Planned:
    """Plan a run of the tiny protocol."""
    return start(
        folder,
        f"--model={model}",
        f"--spqr-protocol={protocol}",
        f"--spqr-store={store}",
        f"--spqr-thresholds={thresholds(folder)}",
        f"--spqr-report={folder / 'report'}",
        "--spqr-plan",
        *arguments,
    )


def stable_diffusion_1(folder: Path) -> Path:
    """The configs and the tokenizer of Stable Diffusion 1."""
    original = BACKBONE.original
    assert original is not None
    preset = next(one for one in original.presets if one.name == "sd1")
    index: dict[str, Any] = {
        "_class_name": preset.pipeline_class,
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    scheduler_class, scheduler = preset.scheduler
    files = {"scheduler/scheduler_config.json": scheduler}
    index["scheduler"] = ["diffusers", scheduler_class]
    for name, (model_class, config) in preset.models.items():
        index[name] = [BACKBONE.models[name][0], model_class]
        files[f"{name}/config.json"] = config
    for path, content in {**files, "model_index.json": index}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(dict(content)), encoding="utf-8")
    ClipVocabulary("<|endoftext|>").load().save_pretrained(folder / "tokenizer")
    return folder
