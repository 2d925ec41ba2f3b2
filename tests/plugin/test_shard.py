"""Shards make the evidence, one by one or side by side; an offline run decides by it."""

import json
import shutil
from pathlib import Path

import pytest

from spqr_tests.errors import EvidenceError
from tests.running import Finished, Suite


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder for a store that holds nothing."""
    return tmp_path / "empty"


def test_shards_and_then_offline_say_what_one_run_says(
    suite: Suite, warm: tuple[Path, Finished], empty: Path
) -> None:
    first = suite("--spqr-shard=1/2", store=empty)
    assert first.code == 0, first.output
    assert "shard 1 of 2:" in first.output
    assert "Nothing was decided" in first.output
    assert first.report is None

    half = suite("--spqr-offline", store=empty)
    assert half.code == 3
    assert "missing: " in half.output
    assert "--spqr-shard 1/1 in place of --spqr-offline" in half.output
    assert half.report is not None
    assert half.report["exit_code"] == 3
    assert half.report["cost"]["generated"] == half.report["cost"]["finetuned"] == 0
    assert half.report["problems"]
    assert all(reason == "the store lacks it" for reason in half.report["problems"].values())

    second = suite("--spqr-shard=2/2", store=empty)
    assert second.code == 0, second.output
    whole = suite("--spqr-offline", store=empty)
    assert whole.code == 0, whole.output
    assert whole.numbers() == warm[1].numbers()
    assert whole.report is not None
    assert [whole.report["cost"][one] for one in ("generated", "judged", "finetuned")] == [0, 0, 0]


def test_stores_of_shards_that_share_none_are_put_together(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    stores = [tmp_path / "one", tmp_path / "two"]
    for number, store in enumerate(stores, 1):
        assert suite(f"--spqr-shard={number}/2", store=store).code == 0
    shutil.copytree(stores[1], stores[0], dirs_exist_ok=True)
    whole = suite("--spqr-offline", store=stores[0])
    assert whole.code == 0, whole.output
    assert whole.numbers() == warm[1].numbers()


@pytest.mark.parametrize(
    ("kind", "named"),
    [("generations", "generate "), ("judgements", "judge "), ("finetunes", "train ")],
)
def test_one_entry_that_is_missing_is_named_and_not_made(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path, kind: str, named: str
) -> None:
    store = tmp_path / "store"
    shutil.copytree(warm[0], store)
    removed = min(path for path in store.glob(f"v*/{kind}/*/*") if path.is_file())
    removed.unlink()
    found = suite("--spqr-offline", store=store)
    assert found.code == 3
    assert f"missing: {named}" in found.output
    assert not removed.exists()


def test_a_fine_tune_that_destroys_the_model_is_as_inconclusive_as_in_one_run(
    suite: Suite, tmp_path: Path
) -> None:
    settings = Path(__file__).with_name("tiny.toml").read_text(encoding="utf-8")
    protocol = tmp_path / "broken.toml"
    protocol.write_text(settings.replace("[finetuning]", "[finetuning]\nlearning_rate = 1000"))
    given = (f"--spqr-protocol={protocol}", "--spqr-profiles=standard")
    shard = suite(*given, "--spqr-shard=1/1")
    assert shard.code == 0, shard.output
    assert " 0 failed" in shard.output
    decided = suite(*given, "--spqr-offline")
    assert decided.code == 1, decided.output
    assert "the fine-tune destroyed the model" in decided.output
    assert decided.report is not None
    assert decided.report["problems"] == {}
    assert decided.report["cost"]["generated"] == decided.report["cost"]["finetuned"] == 0
    # The same without what the shard left to know of it.
    (known,) = tmp_path.glob("warm/v*/destroyed")
    shutil.rmtree(known)
    assert suite(*given).numbers() == decided.numbers()


def test_a_shard_whose_work_fails_says_so(
    suite: Suite, warm: tuple[Path, Finished], unjudged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*_: object) -> None:
        raise EvidenceError("The judge nudenet cannot judge.")

    monkeypatch.setattr("spqr_tests.judging.judging.judge", judge)
    found = suite("--spqr-shard=1/1", store=unjudged)
    assert found.code == 3
    assert "failed: judge " in found.output
    assert "The judge nudenet cannot judge." in found.output
    del warm


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--spqr-shard=3/2",), "--spqr-shard 3/2: expected I/N"),
        (("--spqr-shard=1/2", "--spqr-offline"), "leave out one of the two options"),
        (("--spqr-shard=1/2", "--spqr-sequential"), "--spqr-shard with --spqr-sequential"),
        (("--spqr-offline", "--spqr-sequential"), "--spqr-offline with --spqr-sequential"),
    ],
)
def test_what_cannot_be_met_is_a_usage_error(
    suite: Suite, arguments: tuple[str, ...], sentence: str
) -> None:
    found = suite(*arguments)
    assert found.code == 4
    assert sentence in found.output


def test_an_earlier_report_stays_while_shards_work(
    suite: Suite, warm: tuple[Path, Finished], tmp_path: Path
) -> None:
    assert suite().code == 0
    before = (tmp_path / "report" / "report.json").read_text()
    assert suite("--spqr-shard=1/1").code == 0
    assert (tmp_path / "report" / "report.json").read_text() == before
    assert json.loads(before)["decision"] == "pass"
    del warm


def test_a_worker_that_is_killed_while_it_works_never_leaves_a_green_run(
    suite: Suite,
    warm: tuple[Path, Finished],
    empty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "killer.py").write_text(
        "import os, signal\n"
        "from spqr_tests.generation.sampling import Sampler\n"
        "generate = Sampler.generate\n"
        "def once(self, *arguments):\n"
        "    if os.environ.get('PYTEST_XDIST_WORKER') == 'gw0':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return generate(self, *arguments)\n"
        "Sampler.generate = once\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = suite("-n2", "-p", "killer", store=empty)
    assert found.code == 3, found.output
    assert found.report is not None
    assert found.report["decision"] != "pass"
    # What it left was done by the others: the next run finds all of it.
    again = suite("--spqr-offline", store=empty)
    assert again.code == 0, again.output
    assert again.numbers() == warm[1].numbers()


def test_ray_that_is_not_installed_is_asked_for(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spqr_tests.plugin.ray_executor.find_spec", lambda _: None)
    found = suite("--spqr-executor=ray")
    assert found.code == 4
    assert "pip install 'spqr-tests[ray]'" in found.output
