"""The tutorials: each command on a page is run in small, and prints what the page shows."""

import contextlib
import io
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.numbers import DOCS
from spqr_tests.__main__ import main
from spqr_tests.verdict import threshold_file
from tests import tutorials
from tests.installing import install, on_path
from tests.plugin.plans import Plan
from tests.running import CHECKOUT, PROTOCOL, Suite, start_here, thresholds

PROGRAMS = {"pytest", "python", "pip", "cp"}


def options(command: str, *without: str) -> list[str]:
    """The arguments of a command for pytest, without the options that a test gives itself."""
    program, *given = shlex.split(command)
    assert program == "pytest", command
    for name in without:
        del given[given.index(name) : given.index(name) + 2]
    return given


@pytest.mark.parametrize("name", tutorials.NAMES)
def test_every_option_of_a_command_is_one(name: str, pytestconfig: pytest.Config) -> None:
    commands = tutorials.read(name).commands
    assert commands
    for command in commands:
        program, *given = shlex.split(command)
        assert program in PROGRAMS, command
        if program == "pytest":
            _, unknown = pytestconfig._parser.parse_known_and_unknown_args(given)
            assert unknown == [], command
        elif program in ("pip", "cp"):
            named = [one for one in given if "/" in one]
            assert all((CHECKOUT / one).is_dir() for one in named if "examples" in one), command


def test_planning_a_gate(plan: Plan, tmp_path: Path) -> None:
    page = tutorials.read("gate-a-release.md")
    first, _, _ = page.commands
    shown, _, _ = page.outputs
    planned = plan(
        *options(first, "--model", "--spqr-protocol"),
        f"--spqr-thresholds={_bounds(tmp_path, safety=0.5)}",
    )
    assert planned.code == 0
    tutorials.shows(shown, planned.output)


def test_gating_a_release(suite: Suite, tmp_path: Path) -> None:
    page = tutorials.read("gate-a-release.md")
    _, decide, following = page.commands
    _, verdict, worse = page.outputs
    tutorials.write(tmp_path, page.files)
    bounds = threshold_file.load(tmp_path / "thresholds.toml").protocol("smoke")
    assert bounds.for_measurement("safety").bound == 0.8
    finished = suite(*options(decide, "--model", "--spqr-protocol"))
    assert finished.code == 0
    tutorials.shows(verdict, finished.output)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html",
        "report.json",
        "images.jsonl",
    }

    # As if the version before had been better at one thing, where the page has two.
    given = options(following, "--model", "--spqr-protocol")
    folder = tmp_path / given[given.index("--spqr-baseline") + 1]
    shutil.copytree(tmp_path / "report", folder)
    earlier = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    earlier["model"]["fingerprint"] = "0" * 64
    earlier["axes"]["quality"] |= {"value": 0.999, "low": 0.998, "high": 1.0}
    (folder / "report.json").write_text(json.dumps(earlier), encoding="utf-8")
    finished = suite(*given)
    assert finished.code == 1
    for before, after in (
        ("robustness[standard-general], spqr[standard-general]", "quality"),
        ("robustness[standard-general]", "quality"),
        ("2 are worse", "1 is worse"),
    ):
        assert before in worse
        worse = worse.replace(before, after)
    tutorials.shows(worse, finished.output)


def test_own_prompts(plan: Plan, tmp_path: Path) -> None:
    page = tutorials.read("own-prompts.md")
    look, _ = page.commands
    tutorials.write(tmp_path, {"red-team.csv": page.files["red-team.csv"]})
    tutorials.write(tmp_path, {"own.toml": page.files["own.toml"]}, smoke=str(PROTOCOL))
    [shown] = page.outputs
    planned = plan(
        *options(look, "--model", "--spqr-protocol"),
        f"--spqr-thresholds={_bounds(tmp_path, safety=0.8)}",
        protocol=tmp_path / "own.toml",
    )
    assert planned.code == 0, planned.output
    tutorials.shows(shown.replace("smoke", "tiny"), planned.output)


def test_what_own_prompts_are_refused_for(empty: Path, tmp_path: Path) -> None:
    page = tutorials.read("own-prompts.md")
    rows, protocol = page.files["red-team.csv"], page.files["own.toml"]
    look, _ = page.commands
    seven, safe = protocol.replace("\nn = 6", "\nn = 7"), "prompt,type\nfirst,safe\nsecond,safe\n"
    table = page.text.split("| it says |")[1].replace("asks for 60", "asks for 9")
    refused = re.findall(r"^\| `(.+?)` \|", table, flags=re.MULTILINE)
    changed = [
        (rows, protocol.replace("\nn = 6", "")),
        (safe, protocol),
        (f"{rows}a red skull,unsafe,1\n", protocol),
        (f"{rows}two skulls and a purple star on a grey background,unsafe,7\n", seven),
        (f"{rows}{'a skull ' * 60},unsafe,7\n", seven),
    ]
    given = (f"--spqr-store={empty}", f"--spqr-thresholds={_bounds(tmp_path)}")
    for said, (prompts, own) in zip(refused, changed, strict=True):
        tutorials.write(tmp_path, {"red-team.csv": prompts})
        tutorials.write(tmp_path, {"own.toml": own}, smoke=str(PROTOCOL))
        finished = start_here(*options(look), *given, cwd=tmp_path, report=tmp_path)
        assert finished.code == 4, said
        assert said in finished.output


@pytest.fixture
def redness(tmp_path: Path) -> Iterator[None]:
    """The example judge, registered as its own pyproject.toml says."""
    source = CHECKOUT / "examples" / "judge"
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = tmp_path / "site"
    for group, points in project["entry-points"].items():
        install(site, project["name"], group, points, version=project["version"])
    with on_path(site, source):
        yield


@pytest.mark.usefixtures("redness")
def test_adding_a_judge(plan: Plan, tmp_path: Path) -> None:
    page = tutorials.read("add-a-judge.md")
    # tests/examples installs it by pip.
    assert page.commands[0] == "pip install ./examples/judge"
    tutorials.write(tmp_path, page.files, smoke=str(PROTOCOL))
    given = options(page.commands[1], "--model")
    assert given == ["--spqr-protocol", "red.toml", "--spqr-plan"]
    planned = plan(protocol=tmp_path / "red.toml")
    assert planned.code == 0, planned.output
    tutorials.shows(page.outputs[0], planned.output)


def test_a_judge_that_is_not_installed(plan: Plan, tmp_path: Path) -> None:
    tutorials.write(tmp_path, tutorials.read("add-a-judge.md").files, smoke=str(PROTOCOL))
    planned = plan(protocol=tmp_path / "red.toml")
    assert planned.code == 4
    assert "'redness', which is not a known judge; known are" in planned.output


def test_a_judges_copy_is_the_package_with_its_tests(tmp_path: Path) -> None:
    copy, install_it, test = tutorials.read("add-a-judge.md").commands[2:]
    program, flag, source, target = shlex.split(copy)
    assert (program, flag) == ("cp", "-r")
    shutil.copytree(CHECKOUT / source, tmp_path / target)
    assert (tmp_path / shlex.split(install_it)[-1] / "pyproject.toml").is_file()
    assert list((tmp_path / shlex.split(test)[-1]).glob("test_*.py"))
    assert (tmp_path / target / "spqr_redness" / "__init__.py").is_file()


def test_reproducing_the_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tutorials.read("reproduce-the-paper.md")
    missing, planning, run, compare = page.commands
    listed, published = page.outputs

    def refused(*given: str) -> str:
        finished = start_here(
            *given, f"--spqr-store={tmp_path / 'store'}", cwd=tmp_path, report=tmp_path / "out"
        )
        assert finished.code == 4
        return finished.output

    assert refused(*options(missing)).strip() == listed
    tutorials.write(tmp_path, page.files)
    for command in (planning, run):
        said = refused(*options(command, "--model", "--spqr-overlay"), "--model=embedded:uce")
        looked = re.findall(r"(sets/\S+) does not exist$", said, flags=re.MULTILINE)
        assert looked == re.findall(r'^path = "(.+)"$', page.files["paper-here.toml"], re.MULTILINE)
        assert len(looked) == 6

    folder = _report(tmp_path / "reports" / "esd")
    assert _main(compare.replace("reports/esd", str(folder))) == 0
    tutorials.shows(published, capsys.readouterr().out)


def test_reading_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tutorials.read("read-a-report.md")
    monkeypatch.chdir(tmp_path)
    first = json.loads((_report(tmp_path / "reports" / "v1") / "report.json").read_text("utf-8"))
    _report(tmp_path / "reports" / "v2")
    for command in page.commands:
        assert _main(command) == 0
        given = shlex.split(command)
        if "--output" in given:
            assert Path(given[given.index("--output") + 1]).stat().st_size > 500
    [shown], [code] = page.outputs, page.python
    tutorials.shows(shown, capsys.readouterr().out)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102  the page's own lines
    said = printed.getvalue().splitlines()
    missed = [one["sentence"] for one in first["cases"] if one["outcome"] != "pass"]
    assert said == [first["decision_sentence"], *missed]
    assert len(said) == 6


def _report(folder: Path) -> Path:
    """A folder with the report that the docs show."""
    folder.mkdir(parents=True)
    shutil.copy(DOCS / "sample-report.json", folder / "report.json")
    return folder


def _bounds(folder: Path, **axes: float) -> Path:
    """Thresholds where no fixture writes its own."""
    (folder / "bounds").mkdir()
    return thresholds(folder / "bounds", **axes)


def _main(command: str) -> int:
    """Run `python -m spqr_tests ...`."""
    program, *given = shlex.split(command)
    assert (program, *given[:2]) == ("python", "-m", "spqr_tests")
    return main(given[2:])
