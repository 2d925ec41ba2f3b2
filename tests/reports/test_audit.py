"""`python -m spqr_tests audit`: the sample, the page, and what labels say."""

import base64
import hashlib
import io
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spqr_tests.settings.protocol import CorrectionSettings
from tests.reports.audits import Audited, audited, by_digest, labelled
from tests.reports.conftest import HOSTILE, Command
from tests.reports.html.parsing import data, parsed, words
from tests.reports.test_frame import write


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited(tmp_path_factory.mktemp("audited"))


@pytest.fixture
def page(found: Audited, command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "audit.html"
    drawn(command, found, path)
    return path


def drawn(command: Command, found: Audited, path: Path, *more: str) -> list[list[str]]:
    """The page's images: digests and data URIs."""
    store = ("--store", found.store)
    code, _, error = command("audit", found.folder, *store, "--output", path, *more)
    assert (code, error) == (0, "")
    images: list[list[str]] = data(parsed(path.read_text("utf-8")))["images"]
    return images


def flagged_by(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name, said in row["judges"].items() if said["flagged"]))


def truth(row: dict[str, Any]) -> str:
    """Harmful: most of what both judges flag, some of what one flags, few others."""
    chance = int(row["pixels_sha256"][:4], 16) / 0xFFFF
    return "harmful" if chance < (0.03, 0.7, 0.95)[len(flagged_by(row))] else "harmless"


@pytest.fixture
def say(found: Audited) -> Callable[[str], str]:
    rows = by_digest(found.rows)
    return lambda digest: truth(rows[digest])


def test_a_sample_is_of_every_stratum(found: Audited, command: Command, tmp_path: Path) -> None:
    images = drawn(command, found, tmp_path / "page.html")
    payload = data(parsed((tmp_path / "page.html").read_text("utf-8")))
    rows = by_digest(found.counted)
    every = Counter(map(flagged_by, found.counted))
    taken = Counter(flagged_by(rows[digest]) for digest, _ in images)
    assert len(every) == 4
    assert len(images) == len({digest for digest, _ in images}) == 200
    assert payload["strata"] == [
        {"flagged_by": list(one), "images": every[one], "drawn": taken[one]}
        for one in sorted(every, key=lambda one: (len(one), one))
    ]
    assert min(taken.values()) >= 5


def test_the_seed_decides_the_sample(found: Audited, command: Command, tmp_path: Path) -> None:
    first, again, other = (
        [digest for digest, _ in drawn(command, found, tmp_path / "page.html", "--seed", seed)]
        for seed in ("0", "0", "1")
    )
    assert first == again
    assert set(first) != set(other)
    assert 1 <= len(drawn(command, found, tmp_path / "page.html", "--n", "40")) <= 40


def test_every_image_may_be_drawn(found: Audited, command: Command, tmp_path: Path) -> None:
    images = drawn(command, found, tmp_path / "page.html", "--n", "100000")
    assert sorted(digest for digest, _ in images) == sorted(by_digest(found.counted))


def test_where_an_image_is_does_not_tell_of_its_stratum(
    found: Audited, command: Command, tmp_path: Path
) -> None:
    rows, places = by_digest(found.rows), []
    for seed in range(20):
        images = drawn(command, found, tmp_path / "page.html", "--seed", str(seed))
        places += [place for place, (digest, _) in enumerate(images) if flagged_by(rows[digest])]
    # The mean place of about 2,000 images, whose standard deviation is 58 / sqrt(2000).
    assert abs(np.mean(places) - 99.5) < 5


def test_the_page_has_the_images_and_nothing_of_the_judges(found: Audited, page: Path) -> None:
    text = page.read_text("utf-8")
    payload = data(parsed(text))
    assert set(payload) == {"schema", "audit", "images_sha256", "seed", "n", "strata", "images"}
    rows = by_digest(found.rows)
    for digest, uri in payload["images"]:
        kind, _, content = uri.partition(",")
        assert kind == "data:image/webp;base64"
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        # Small ones are as they were judged.
        spelt = repr(shown.shape).encode() + shown.tobytes()
        assert hashlib.sha256(spelt).hexdigest() == digest
        assert rows[digest]["image"] not in text
    assert "label of nudenet" not in text
    assert "line 1" not in text
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none'; img-src data:;")
    for name in ("style", "script"):
        [inside] = re.findall(rf"<{name}>(.*?)</{name}>", text, flags=re.DOTALL)
        sha = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{sha}'" in policy


def test_names_of_anybody_are_text(tmp_path: Path, command: Command) -> None:
    made = audited(tmp_path)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    report["model"]["target"] = HOSTILE["tag"]
    report["protocol"]["name"] = HOSTILE["closing"]
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    names = list(HOSTILE.values())
    rows = [
        row | {"categories": [names[place % len(names)]], "prompt": HOSTILE["tag"]}
        for place, row in enumerate(made.rows)
    ]
    for row in rows:
        row["judges"] = {HOSTILE["control"]: row["judges"]["nudenet"]}
    write(tmp_path, rows)
    drawn(command, made, tmp_path / "page.html")
    document = parsed((tmp_path / "page.html").read_text("utf-8"))
    assert HOSTILE["tag"] in words(document)
    assert len(list(document.iter("script"))) == 2
    assert not [one for one in document.iter("img") if one.get("onerror")]
    code, out, _ = command(
        "audit", tmp_path, "--store", made.store, "--output", tmp_path / "page.html"
    )
    assert code == 0
    assert "\x1b" not in out
    assert "\\x1b[31m" in out


def test_labels_give_the_accuracy_of_the_judges(
    found: Audited, page: Path, say: Callable[[str], str], command: Command, tmp_path: Path
) -> None:
    labels = labelled(page, tmp_path / "labels.json", say)
    code, out, error = command("audit", found.folder, "--labels", labels)
    assert (code, error) == (0, "")
    # What the labels say, weighted by the sizes of the strata, worked out row by row.
    sample = [
        by_digest(found.rows)[digest] for digest, _ in data(parsed(page.read_text()))["images"]
    ]
    every, taken = (Counter(map(flagged_by, rows)) for rows in (found.counted, sample))
    weighted: Counter[tuple[str, bool]] = Counter()
    for row in sample:
        one = flagged_by(row)
        weighted[truth(row), bool(one)] += every[one] / taken[one]
    shares = [
        weighted[said, flag] / (weighted[said, True] + weighted[said, False])
        for said, flag in (("harmful", True), ("harmless", False))
    ]
    [line] = re.findall(r"^any of them +(.+)$", out, flags=re.MULTILINE)
    printed = re.findall(r"(\d\.\d+) \((\d\.\d+) to (\d\.\d+)\)", line)
    assert [float(one[0]) for one in printed] == pytest.approx(shares, abs=6e-4)
    # The truth of all images, which nobody labelled, is inside.
    harm = Counter((truth(row), bool(flagged_by(row))) for row in found.counted)
    true = harm["harmful", True] / (harm["harmful", True] + harm["harmful", False])
    assert float(printed[0][1]) <= true <= float(printed[0][2])
    assert re.search(r"^nudenet +0\.\d+ ", out, flags=re.MULTILINE)

    stated = CorrectionSettings.model_validate(
        tomllib.loads(out[out.index("[correction]") :])["correction"]
    )
    assert (stated.sensitivity, stated.specificity) == pytest.approx(shares, abs=1e-4)
    assert 1 <= stated.sensitivity_n < 200
    assert hashlib.sha256(labels.read_bytes()).hexdigest() in stated.source


def test_unsure_and_skipped_images_are_said(
    found: Audited, page: Path, say: Callable[[str], str], command: Command, tmp_path: Path
) -> None:
    images = [digest for digest, _ in data(parsed(page.read_text("utf-8")))["images"]]
    unsure, skipped, after = set(images[:3]), set(images[3:5]), set(images[150:])

    def answer(digest: str) -> str | None:
        if digest in unsure:
            return "unsure"
        return None if digest in skipped | after else say(digest)

    code, out, _ = command(
        "audit", found.folder, "--labels", labelled(page, tmp_path / "labels.json", answer)
    )
    assert code == 0
    assert "unsure or skipped: 5, left out of the estimates" in out
    assert "145 images labelled by eye" in out


def test_judges_that_miss_too_much_give_no_correction(
    found: Audited, page: Path, say: Callable[[str], str], command: Command, tmp_path: Path
) -> None:
    def contrary(digest: str) -> str:
        return "harmless" if say(digest) == "harmful" else "harmful"

    labels = labelled(page, tmp_path / "labels.json", contrary)
    code, out, _ = command("audit", found.folder, "--labels", labels)
    assert code == 1
    assert "No [correction] for the protocol: the sensitivity is 0." in out


def _without(folder: Path) -> None:
    (folder / "images.jsonl").unlink()


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another report": (lambda one: one.update(images_sha256="0" * 64), "are of another report"),
    "another seed": (lambda one: one.update(seed=3), "it was changed"),
    "other strata": (lambda one: one["strata"][0].update(images=5), "has other strata"),
    "an unknown image": (
        lambda one: one["labels"].append({"pixels_sha256": "f" * 64, "label": "harmful"}),
        "1 of its 201 labels are of images that this audit did not draw, such as ffffffffffff",
    ),
    "two labels": (
        lambda one: one["labels"].append(one["labels"][0] | {"label": "unsure"}),
        "has two labels for the image",
    ),
    "no labels": (lambda one: one.update(labels=[]), "the file has no labels"),
    "few labels": (lambda one: one.update(labels=one["labels"][:3]), "Label on in the page"),
    "nothing certain": (
        lambda one: [label.update(label="unsure") for label in one["labels"]],
        "0 of them harmful or harmless",
    ),
    "another label": (
        lambda one: one["labels"][0].update(label="<script>alert(1)</script>"),
        "is not a file of labels (spqr-audit-labels/1)",
    ),
    "a huge seed": (lambda one: one.update(seed=10**400), "is not a file of labels"),
    "an unknown key": (lambda one: one.update(more=1), "is not a file of labels"),
    "another schema": (lambda one: one.update(schema="x" * 5000), "is not a file of labels"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_labels_are_refused_in_a_sentence(
    kind: str,
    found: Audited,
    page: Path,
    say: Callable[[str], str],
    command: Command,
    tmp_path: Path,
) -> None:
    path = labelled(page, tmp_path / "labels.json", say)
    content = json.loads(path.read_text("utf-8"))
    change, why = REFUSED[kind]
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    code, out, error = command("audit", found.folder, "--labels", path)
    assert (code, out) == (4, "")
    assert error.startswith(f"--labels {path}: ")
    assert why in error
    assert len(error) < 1500
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a file of labels"),
        (b"\xff\xfe", "is not"),
        (b"[" * 10**5, "is not"),
        (b"{}", "is not"),
    ],
)
def test_other_files_are_refused(
    content: bytes, why: str, found: Audited, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "other").write_bytes(content)
    code, _, error = command("audit", found.folder, "--labels", tmp_path / "other")
    assert code == 4
    assert why in error


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "pass --output FILE for a page to label images on, or --labels FILE"),
        (["--output", "a", "--labels", "b"], "pass --output FILE"),
        (["--labels", "b", "--n", "3"], "says its own --n and --seed"),
        (["--output", "a", "--n", "0"], "--n 0: expected a whole number, at least 1"),
        (["--output", "a", "--seed", "-1"], "--seed -1: expected"),
        (["--output", "a", "--n", "8"], "needs 5 of each, or all there are: at least 20"),
        (["--output", "a", "--store", "nowhere"], "200 of the 200 images of this audit are not"),
    ],
)
def test_options_are_refused_in_a_sentence(
    arguments: list[str], why: str, found: Audited, command: Command
) -> None:
    code, out, error = command("audit", found.folder, *arguments)
    assert (code, out) == (4, "")
    assert why in error


def test_an_image_that_is_another_now_is_refused(tmp_path: Path, command: Command) -> None:
    made = audited(tmp_path)
    one, other = (made.store / row["image"] for row in made.rows[:2])
    one.write_bytes(other.read_bytes())
    code, _, error = command(
        "audit", tmp_path, "--store", made.store, "--n", "1000", "--output", tmp_path / "page.html"
    )
    assert code == 4
    assert f"1 of the 418 images of this audit are not in the store {made.store}" in error
    assert not (tmp_path / "page.html").exists()


def test_a_report_without_images_is_refused(tmp_path: Path, command: Command) -> None:
    made = audited(tmp_path, images=False)
    _without(tmp_path)
    code, _, error = command(
        "audit", tmp_path, "--store", made.store, "--output", tmp_path / "page.html"
    )
    assert code == 4
    assert "has no images.jsonl next to it" in error


def test_images_that_are_the_same_are_labelled_once(tmp_path: Path, command: Command) -> None:
    made = audited(tmp_path)
    whole = made.store / made.rows[0]["image"]
    same = [row for row in made.counted if not row["flagged"]][:200]
    for row in same:
        (made.store / row["image"]).write_bytes(whole.read_bytes())
        row["pixels_sha256"] = made.rows[0]["pixels_sha256"]
    write(tmp_path, made.rows)
    page = tmp_path / "page.html"
    images = drawn(command, made, page, "--n", "1000")
    assert len(images) == len({row["pixels_sha256"] for row in made.counted}) < 300
    labels = labelled(page, tmp_path / "labels.json", lambda _: "harmless")
    _, out, _ = command("audit", tmp_path, "--labels", labels)
    unflagged = sum(not row["flagged"] for row in made.counted)
    assert re.search(rf"^no judge +{unflagged} +0 +{unflagged} +0$", out, flags=re.MULTILINE)
