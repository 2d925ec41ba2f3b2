"""`--spqr-data`: the sets that a protocol asks for by name, and a run on a published one."""

from collections.abc import Callable
from pathlib import Path

import pytest

# Imported here so that the runs in this process find it and what it imports: numpy cannot be loaded
# twice.
import spqr_tests.plugin.suite
from spqr_tests.store.store import LAYOUT
from tests.data.prompts.published import rows_as_csv, write
from tests.running import PROTOCOL, start, thresholds

assert spqr_tests.plugin.suite

HARMFUL = '[harmful]\nprompts = "embedded-harmful.jsonl"\nn = 9\n'
IMAGES = 'images = "embedded:general"'
SETS = """
[data.i2p]
expects = "i2p_benchmark.csv"
source = "a published set"
access = "ask its authors"

[data.pictures]
expects = "a folder of pictures"
source = "another place"
path = "pictures"
"""
Refused = Callable[..., list[str]]


def _protocol(
    folder: Path,
    harmful: str = "data:i2p",
    images: str = "data:pictures",
    sets: str = SETS,
    more: str = "",
) -> Path:
    """The tiny protocol on sets of the user's."""
    text = PROTOCOL.read_text(encoding="utf-8")
    for old, new in (
        (HARMFUL, f'[harmful]\nprompts = "{harmful}"\n{more}'),
        (IMAGES, f'images = "{images}"'),
    ):
        assert old in text
        text = text.replace(old, new)
    return write(folder / "mine.toml", text + sets)


def _i2p(folder: Path) -> Path:
    """Six prompts of the embedded world in I2P's layout, one of them twice, and an empty one."""
    texts = [
        "a blue skull",
        "a dagger",
        "a red mousemark",
        "a boltcrest",
        "a fingerprint",
        "a green badge",
    ]
    categories = ["unsafe", "unsafe, private", "copyrighted", "copyrighted", "private", "private"]
    rows = [
        {
            "prompt": text,
            "categories": names,
            "hard": 0,
            "sd_seed": 100 + number,
            "sd_guidance_scale": 3.0 + number % 2,
        }
        for number, (text, names) in enumerate(zip(texts, categories, strict=True))
    ]
    rows += [rows[0], rows[1] | {"prompt": ""}]
    return write(folder / "i2p_benchmark.csv", rows_as_csv(*rows))


@pytest.fixture
def refused(pytester: pytest.Pytester) -> Refused:
    """Start the suite with these arguments and give the lines by which it refuses."""

    def run(protocol: Path, *arguments: str) -> list[str]:
        given = [
            "--model=embedded:base",
            f"--spqr-protocol={protocol}",
            f"--spqr-thresholds={thresholds(pytester.path)}",
        ]
        result = pytester.runpytest_inprocess(
            *given, *arguments, f"--spqr-store={pytester.path / 'store'}"
        )
        assert result.ret == 4
        return [line for line in (*result.outlines, *result.errlines) if line.strip()]

    return run


# What is said of sets that are not there


def test_all_missing_sets_are_said_at_once_with_where_they_come_from(
    refused: Refused, tmp_path: Path
) -> None:
    first, i2p, pictures, options = refused(_protocol(tmp_path))
    assert first.endswith("The protocol needs 2 sets of data that are not there:")
    assert i2p == "  i2p: i2p_benchmark.csv; source: a published set; access: ask its authors"
    looked = tmp_path / "pictures"
    assert (
        pictures
        == f"  pictures: a folder of pictures; source: another place; {looked} does not exist"
    )
    assert options == "Say where each one is: --spqr-data i2p=PATH --spqr-data pictures=PATH"


def test_sets_that_one_scenario_does_without_are_named(refused: Refused, tmp_path: Path) -> None:
    more = '[data.other]\nexpects = "a folder"\nsource = "a third place"\n'
    other = '[scenarios.other]\nimages = "data:other"\nabout = "a test"\n'
    *_, last = refused(_protocol(tmp_path, sets=SETS + more + other))
    assert (
        last == "--spqr-scenarios general measures that scenario alone, which does not need other."
    )
    *_, last = refused(_protocol(tmp_path, sets=SETS + more + other), "--spqr-scenarios=general")
    assert last == "Say where each one is: --spqr-data i2p=PATH --spqr-data pictures=PATH"


def test_a_path_that_is_given_and_not_there_is_missing_too(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    first, i2p, _ = refused(_protocol(tmp_path), "--spqr-data=i2p=gone.csv")
    assert first.endswith("The protocol needs a set of data that is not there:")
    assert i2p.endswith("gone.csv does not exist")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["i2q=a.csv"],
            "--spqr-data i2q=*a.csv: the protocol tiny names no set 'i2q'; it names i2p, pictures.",
        ),
        (
            ["i2p"],
            ("--spqr-data i2p: expected NAME=PATH, a set that the protocol names and its path."),
        ),
        (["=a.csv"], "--spqr-data =a.csv: expected NAME=PATH"),
        (["i2p="], "--spqr-data i2p=: expected NAME=PATH"),
        (["i2p=a.csv", "i2p=b.csv"], "--spqr-data i2p=b.csv: i2p is given twice."),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_an_option_that_names_no_set(
    refused: Refused, tmp_path: Path, options: list[str], said: str
) -> None:
    (line,) = refused(_protocol(tmp_path), *(f"--spqr-data={option}" for option in options))
    before, _, after = said.partition("*")
    assert before in line
    assert after in line


def test_a_protocol_without_sets_takes_none(refused: Refused) -> None:
    (line,) = refused(PROTOCOL, "--spqr-data=i2p=a.csv")
    assert "the protocol tiny names no set 'i2p'; it names none." in line


def test_a_name_without_a_table_is_refused(refused: Refused, tmp_path: Path) -> None:
    (line,) = refused(_protocol(tmp_path, harmful="data:i2q"))
    assert "The protocol names data:i2q, but has no table data.i2q; it has i2p, pictures." in line


def test_a_set_that_cannot_fill_n_is_refused(refused: Refused, tmp_path: Path) -> None:
    protocol = _protocol(tmp_path, images="embedded:general", more="n = 7")
    (line,) = refused(protocol, f"--spqr-data=i2p={_i2p(tmp_path)}")
    assert (
        "has 6 rows, and the protocol asks for 7: give a larger set, or a smaller n; line 9 has no"
        " prompt and is left out" in line
    )


# A run


def test_a_run_on_a_published_layout(tmp_path: Path) -> None:
    path, store = _i2p(tmp_path), tmp_path / "store"
    run = start(
        "--model=embedded:uce",
        f"--spqr-protocol={_protocol(tmp_path, images='embedded:general')}",
        f"--spqr-store={store}",
        f"--spqr-thresholds={thresholds(tmp_path)}",
        f"--spqr-data=i2p={path.name}",
        "--spqr-profiles=lite",
        "-n2",
        cwd=tmp_path,
        report=tmp_path / "report",
    )
    assert run.code == 0, run.output
    for said in (
        "spqr prompts: 6 harmful, 12 benign",
        "spqr prompts: i2p_benchmark.csv: read as I2P",
        "spqr prompts: i2p_benchmark.csv: line 9 has no prompt and is left out",
        (
            "spqr prompts: i2p_benchmark.csv: lines 2 and 8 hold one prompt and seed; the second is"
            " left out"
        ),
    ):
        assert said in run.output
    assert run.report is not None
    assert run.report["axes"]["safety"]["n"] == 6
    assert [(category["name"], category["n"]) for category in run.report["categories"]] == [
        ("copyrighted", 2),
        ("private", 3),
        ("unsafe", 2),
    ]
    assert run.report["cost"]["generated"] == 6 * 2 + 12
    # The set's scales for harmful prompts before and after, the protocol's for the others.
    stored = [picture.read_bytes() for picture in (store / LAYOUT / "generations").rglob("*.png")]
    generated = {
        scale: sum(f'"guidance": {scale}'.encode() in data for data in stored)
        for scale in (3.0, 4.0)
    }
    assert generated == {3.0: 3 * 2, 4.0: 3 * 2 + 12}
