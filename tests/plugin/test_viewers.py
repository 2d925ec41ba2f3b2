"""What a pipeline's viewers get of a run: JUnit XML, GitHub's step summary and annotations."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import xmlschema
from PIL import Image

from tests.running import PROTOCOL, Finished, Suite, start

SCHEMA = Path(__file__).parents[1] / "reports" / "junit-10.xsd"
# Every picture is flagged: of two sampling steps, a judge that looks closely would flag none.
FLAGS_ALL = 'extends = "tiny.toml"\n[judges.concepts]\nthreshold = 0.0\n'


@pytest.fixture
def flagging(tmp_path: Path) -> str:
    """The option for a protocol whose judge flags everything."""
    (tmp_path / "tiny.toml").write_text(PROTOCOL.read_text(encoding="utf-8"), encoding="utf-8")
    own = tmp_path / "flagging.toml"
    own.write_text(f'name = "tiny"\n{FLAGS_ALL}', encoding="utf-8")
    return f"--spqr-protocol={own}"


def cases(path: Path) -> dict[str, ET.Element]:
    """The cases of a file that Jenkins' schema allows, by class and name."""
    xmlschema.XMLSchema(SCHEMA).validate(path)
    found = list(ET.parse(path).iter("testcase"))  # noqa: S314  our own file
    named = {f"{one.get('classname')}.{one.get('name')}": one for one in found}
    assert len(named) == len(found)
    return named


def attachments(case: ET.Element) -> list[Path]:
    printed = (case.findtext("system-out") or "").splitlines()
    lines = [one for one in printed if one.startswith("[[ATTACHMENT|")]
    return [Path(one.removeprefix("[[ATTACHMENT|").removesuffix("]]")) for one in lines]


def reports(folder: Path) -> list[Path]:
    return [folder / "report" / name for name in ("report.html", "report.json")]


@pytest.mark.parametrize("how", [(), ("-n2",), ("--spqr-sequential",)], ids=str)
def test_a_failed_case_shows_what_was_measured_and_which_images(
    suite: Suite, flagging: str, tmp_path: Path, how: tuple[str, ...]
) -> None:
    xml = tmp_path / "out" / "junit.xml"
    finished = suite(flagging, f"--junitxml={xml}", "-m", "safety or adherence", *how, safety=0.9)
    assert finished.code == 1, finished.output
    assert finished.report is not None
    found = cases(xml)
    safety = found["test_safety.test_few_generations_of_harmful_prompts_are_flagged"]
    decided = next(one for one in finished.report["cases"] if one["name"] == "safety")
    text = safety.findtext("failure") or ""
    assert text.splitlines()[0] == decided["sentence"]
    assert "threshold: at least 0.9000 (a test)" in text
    assert "margin:    0.9000 below the threshold" in text
    assert f"n:         {decided['n']}" in text
    assert f"flagged:   {decided['n']} images, of which 5 in {tmp_path / 'warm'}:" in text
    named = [line.split()[0] for line in text.splitlines() if line.startswith("  v2/")]
    assert len(named) == 5
    originals = [Image.open(tmp_path / "warm" / one).convert("RGB") for one in named]
    *copies, page, report = attachments(safety)
    assert (page, report) == tuple(reports(tmp_path))
    # Jenkins knows them by name, and nobody sees what they show.
    assert len({one.name for one in copies}) == 5
    for original, copy in zip(originals, map(Image.open, copies), strict=True):
        assert len(np.unique(np.asarray(copy).reshape(-1, 3), axis=0)) <= 12 * 12
        difference = np.abs(
            np.asarray(copy.resize(original.size)).astype(int) - np.asarray(original)
        ).mean()
        # It is that image, without its details.
        assert 0 < difference < np.abs(128 - np.asarray(original).astype(int)).mean()
    passed = found["test_adherence.test_generations_show_what_benign_prompts_ask_for"]
    assert [one.tag for one in passed] == []


def test_gitlab_finds_attachments_below_its_project(
    suite: Suite, flagging: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_PROJECT_DIR", str(tmp_path))
    xml = tmp_path / "junit.xml"
    suite(flagging, f"--junitxml={xml}", "-m", "safety", safety=0.9)
    (found,) = (one for name, one in cases(xml).items() if name.endswith("prompts_are_flagged"))
    paths = attachments(found)
    assert len(paths) == 5 + 2
    assert not any(one.is_absolute() for one in paths)
    assert all((tmp_path / one).is_file() for one in paths)


def test_copies_of_an_earlier_run_are_gone_and_other_files_stay(
    suite: Suite, flagging: str, tmp_path: Path
) -> None:
    xml, folder = tmp_path / "junit.xml", tmp_path / "report" / "flagged"
    suite(flagging, f"--junitxml={xml}", "-m", "safety", safety=0.9)
    (folder / "mine.png").write_text("mine")
    assert len(list(folder.iterdir())) > 5
    suite(f"--junitxml={xml}", "-m", "safety")
    assert [one.name for one in folder.iterdir()] == ["mine.png"]


def test_what_tests_print_shares_one_element_with_attachments(
    suite: Suite, flagging: str, tmp_path: Path
) -> None:
    xml = tmp_path / "junit.xml"
    options = ("-o", "junit_logging=all", "-o", "junit_suite_name=gate", "-p", "no:spqr-github")
    suite(flagging, f"--junitxml={xml}", "-m", "safety", *options, safety=0.9)
    failed = [one for one in cases(xml).values() if one.find("failure") is not None]
    assert failed
    for one in failed:
        (printed,) = one.findall("system-out")
        assert "Captured Out" in (printed.text or "")
        assert attachments(one)


def test_a_broken_case_says_why(suite: Suite, unjudged: Path, tmp_path: Path) -> None:
    (tmp_path / "intruder.py").write_text(
        "from spqr_tests.judging.judges.nudenet import NudeNetJudge\n"
        "def judge(self, images):\n    raise OSError('the model file is \\x07 gone')\n"
        "NudeNetJudge.judge = judge\n"
    )
    xml = tmp_path / "junit.xml"
    finished = suite("-p", "intruder", f"--junitxml={xml}", "-m", "safety", store=unjudged)
    assert finished.code == 3, finished.output
    for one in cases(xml).values():
        result = one.find("failure") if one.find("failure") is not None else one.find("error")
        assert result is not None
        assert "the model file is" in (result.text or "")
        assert attachments(one) == reports(tmp_path)


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The summary's file of a step of a workflow."""
    path = tmp_path / "step-summary"
    path.write_text("from an earlier command\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "step-output"))
    for name, value in (("SERVER_URL", "https://git.example"), ("REPOSITORY", "o/r")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("GITHUB_RUN_ID", "17")
    return path


def annotations(finished: Finished) -> list[str]:
    return [line for line in finished.output.splitlines() if line.startswith("::")]


@pytest.mark.parametrize("how", [("-n0",), ("-n2",)], ids=str)
def test_github_shows_decision_thresholds_and_failed_cases(
    suite: Suite, flagging: str, step: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    finished = suite(flagging, "-m", "safety or adherence", *how, safety=0.9)
    assert finished.report is not None
    assert finished.code == 1
    text = step.read_text(encoding="utf-8")
    assert text.startswith("from an earlier command\n## SPQR: fail\n")
    assert text.count("## SPQR") == 1
    assert "| safety | 0.0000 | 0.0000 to 0." in text
    assert "| ≥ 0.9000 | **fail** |" in text
    assert "https://git.example/o/r/actions/runs/17#artifacts" in text
    assert "flagged images, in the store" in text
    found = annotations(finished)
    failed = [one for one in finished.report["cases"] if one["outcome"] == "fail"]
    assert len(failed) == 4
    assert len(found) == 4
    assert all(line.startswith("::error title=safety") for line in found)
    assert "%25 interval" in found[0]
    assert (tmp_path / "step-output").read_text() == "decision=fail\nspqr=\n"
    # The last lines stay the decision.
    assert finished.output.rstrip().splitlines()[-2].startswith("FAIL: ")


@pytest.mark.parametrize(
    "option", ["--collect-only", "--spqr-plan", "--spqr-shard=1/1", "--markers", "-pno:spqr-github"]
)
def test_github_gets_nothing_where_nothing_is_decided_or_wanted(
    suite: Suite, step: Path, option: str
) -> None:
    finished = suite(option, safety=0.9999)
    assert annotations(finished) == []
    assert step.read_text(encoding="utf-8") == "from an earlier command\n"
    assert not (step.parent / "step-output").exists()


def test_github_gets_nothing_of_other_tests(step: Path, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_it(): assert False\n")
    finished = start("test_other.py", f"--junitxml={tmp_path}/junit.xml", cwd=tmp_path)
    assert finished.code == 1
    assert annotations(finished) == []
    assert step.read_text(encoding="utf-8") == "from an earlier command\n"


def test_without_annotations_outside_of_a_workflow(
    suite: Suite, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    finished = suite("-m", "safety", safety=0.9999)
    assert annotations(finished) == []
    assert "## SPQR" in step.read_text(encoding="utf-8")


def test_a_summary_that_cannot_be_written_changes_no_exit_code(
    suite: Suite, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step.parent / "gone" / "summary"))
    finished = suite()
    assert finished.code == 0
    assert "GITHUB_STEP_SUMMARY: " in finished.output
    assert "cannot be written (No such file or directory)" in finished.output


def test_an_earlier_summary_of_the_step_counts(suite: Suite, step: Path) -> None:
    step.write_text("x" * (2**20 - 60_000), encoding="utf-8")
    suite("-m", "safety", safety=0.9999)
    assert step.stat().st_size < 2**20
