"""docs/scale.md: its scripts are ones that a shell and a CI read, and say what they are for."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from benchmarks.numbers import DOCS
from spqr_tests.execution.shards import Shard

PAGE = (DOCS / "scale.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A file that a `pytest` on the path writes its arguments to."""
    fake = tmp_path / "bin" / "pytest"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/told\n')
    fake.chmod(0o755)
    return tmp_path / "told"


def run(script: str, told: Path, **environment: str) -> list[str]:
    """The arguments of the `pytest` that a script starts."""
    path = f"{told.parent / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euc", script], env={"PATH": path, **environment}, check=True, cwd=told.parent
    )
    return told.read_text().splitlines()


def test_each_task_of_the_array_makes_its_shard(told: Path) -> None:
    (script,) = blocks("bash")
    found = run(
        script,
        told,
        CKPT="a model",
        PROTOCOL="p.toml",
        STORE="/shared/store",
        SLURM_ARRAY_TASK_ID="3",
        SLURM_ARRAY_TASK_COUNT="8",
    )
    assert found[:2] == ["--model", "a model"]
    assert Shard.parse(found[found.index("--spqr-shard") + 1]) == Shard(3, 8)
    array = re.search(r"#SBATCH --array=1-(\d+)", script)
    assert array is not None
    assert array[1] == "8"


def test_the_matrix_makes_every_shard_and_decides_once(told: Path) -> None:
    (workflow,) = blocks("yaml")
    jobs = yaml.safe_load(workflow)["jobs"]
    numbers = jobs["evidence"]["strategy"]["matrix"]["shard"]
    command = jobs["evidence"]["steps"][0]["run"]
    found = []
    for number in numbers:
        asked = run(command.replace("${{ matrix.shard }}", str(number)), told, CKPT="model")
        found.append(Shard.parse(asked[asked.index("--spqr-shard") + 1]))
        told.unlink()
    assert found == [Shard(number, len(numbers)) for number in range(1, len(numbers) + 1)]
    verdict = run(jobs["verdict"]["steps"][-1]["run"], told, CKPT="model")
    assert "--spqr-offline" in verdict
    shared = {"--model", "--spqr-protocol", "--spqr-store"}
    assert shared <= set(verdict)
    assert jobs["verdict"]["needs"] == "evidence"
