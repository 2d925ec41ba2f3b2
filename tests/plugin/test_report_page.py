"""report.html of a run, and the same page made again from what the run wrote."""

import json
import shutil
from pathlib import Path

import html5lib
import pytest

from spqr_tests.__main__ import main
from tests.running import Suite


def said(page: Path) -> str:
    document = html5lib.parse(page.read_text(encoding="utf-8"), namespaceHTMLElements=False)
    return " ".join(" ".join(document.itertext()).split())


@pytest.mark.parametrize("how", [(), ("-n2",), ("--spqr-show-prompts",)], ids=" ".join)
def test_is_made_again_to_the_byte(how: tuple[str, ...], suite: Suite, tmp_path: Path) -> None:
    report = suite(*how).report
    assert report is not None
    folder, again = tmp_path / "report", tmp_path / "report" / "again.html"
    assert report["decision_sentence"] in said(folder / "report.html")
    given = ("report", str(folder), f"--store={tmp_path / 'warm'}", f"--output={again}")
    assert main(given) == 0
    assert again.read_bytes() == (folder / "report.html").read_bytes()


def test_holds_so_many_images(suite: Suite, tmp_path: Path) -> None:
    for count in (0, 3):
        suite(f"--spqr-report-images={count}")
        page = tmp_path / "report" / "report.html"
        assert page.read_text(encoding="utf-8").count("data:image/webp;base64,") == count
        assert f"{count} of 36 images are in this page" in said(page)


def test_an_earlier_pass_does_not_outlive_the_start_of_a_run(suite: Suite, tmp_path: Path) -> None:
    page = tmp_path / "report" / "report.html"
    assert suite().code == 0
    before = page.read_bytes()
    suite("-k", "nothing")
    assert page.read_bytes() == before
    (tmp_path / "ending.py").write_text(
        "import os\ndef pytest_runtest_teardown(item): os._exit(0)\n"
    )
    suite("-p", "ending")
    assert "Not finished" in said(page)
    again = tmp_path / "again.html"
    assert main(("report", str(tmp_path / "report"), f"--output={again}")) == 0
    assert again.read_bytes() == page.read_bytes()


def test_a_folder_in_its_place_breaks_the_run(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "report" / "report.html").mkdir(parents=True)
    finished = suite()
    assert finished.code == 3
    assert finished.report is not None
    assert finished.report["state"] == "finished"
    assert "report.html cannot be written" in finished.report["problems"]["report"]


class TestTheCommand:
    def test_without_the_store_it_says_what_is_not_there(
        self, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        suite()
        folder = tmp_path / "report"
        monkeypatch.setenv("SPQR_STORE", str(tmp_path / "nowhere"))
        assert main(("report", str(folder / "report.json"))) == 0
        assert "none of its 36 images is here" in said(folder / "report.html")
        shutil.rmtree(tmp_path / "warm" / "v2" / "generations")
        assert main(("report", str(folder), f"--store={tmp_path / 'warm'}")) == 0
        assert "36 are not in the store" in said(folder / "report.html")

    def test_without_the_rows_it_says_so(
        self, suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        suite()
        folder = tmp_path / "report"
        (folder / "images.jsonl").unlink()
        assert main(("report", str(folder))) == 0
        assert "images.jsonl is not there: the page has no images" in capsys.readouterr().err
        assert "Images of harmful prompts" not in said(folder / "report.html")

    def test_rows_of_another_run_are_refused(
        self, suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        suite()
        rows = tmp_path / "report" / "images.jsonl"
        lines = rows.read_text(encoding="utf-8").splitlines()
        changed = json.loads(lines[0]) | {"flagged": True}
        rows.write_text("\n".join([json.dumps(changed), *lines[1:]]), encoding="utf-8")
        assert main(("report", str(tmp_path / "report"))) == 4
        assert "its digest is another" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            (("nowhere",), "nowhere"),
            ((".", "--images=-1"), "expected a number of images"),
            ((".", "--store=nowhere"), "leave the option out for a page without images"),
        ],
    )
    def test_bad_input_is_answered_by_a_sentence(
        self,
        given: tuple[str, ...],
        sentence: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(("report", *given)) == 4
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.splitlines()) == 1
