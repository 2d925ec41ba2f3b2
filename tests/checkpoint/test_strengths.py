"""Paths with strengths, as options give them; names that hold '@' or ',' themselves."""

from pathlib import Path

import pytest

from spqr_tests.checkpoint import strengths
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError

OPTION = "--spqr-adapter mine"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("strengths")
    for name in (
        "a",
        "b",
        "a@v2",
        "c@0.5",
        "d",
        "d@2",
        "e,f",
        "e",
        "g,a",
        "g",
        "f@merge",
        "h",
        "h@merge",
    ):
        (found / name).write_bytes(b"")
    return found


@pytest.mark.parametrize(
    ("text", "name", "strength"),
    [
        ("a", "a", 1.0),
        ("a@1", "a", 1.0),
        ("a@0.8", "a", 0.8),
        ("a@.8", "a", 0.8),
        ("a@-0.5", "a", -0.5),
        ("a@+2", "a", 2.0),
        ("a@1e-3", "a", 0.001),
        ("a@10", "a", 10.0),
        # A name with an @ is a path, alone and with a strength after it.
        ("a@v2", "a@v2", 1.0),
        ("a@v2@0.25", "a@v2", 0.25),
        ("c@0.5", "c@0.5", 1.0),
        ("c@0.5@2", "c@0.5", 2.0),
        ("d@2@1", "d@2", 1.0),
        # Whether it is there is for its reader to say.
        ("none", "none", 1.0),
        ("none@0.5", "none", 0.5),
        ("none@v3", "none@v3", 1.0),
        ("e,f", "e,f", 1.0),
    ],
)
def test_a_path_and_its_strength(folder: Path, text: str, name: str, strength: float) -> None:
    assert strengths.one(text, folder, "--spqr-overlay") == Given(folder / name, strength)


@pytest.mark.parametrize(
    ("text", "name", "mode"),
    [
        ("a@merge", "a", "merge"),
        ("a@prompt", "a", "prompt"),
        ("a@v2@merge", "a@v2", "merge"),
        ("none@merge", "none", "merge"),
        ("f@merge", "f@merge", ""),
        ("f@merge@merge", "f@merge", "merge"),
    ],
)
def test_a_path_and_how_it_is_applied(folder: Path, text: str, name: str, mode: str) -> None:
    given = Given(folder / name, mode=mode)
    assert strengths.one(text, folder, "--spqr-overlay") == given
    if (folder / name).exists():
        assert strengths.several(f"{text},b@2", folder, OPTION) == [given, Given(folder / "b", 2.0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a@merged", "'merged' after the last @ is not a number; expected PATH@STRENGTH, such as"),
        ("a@Merge", "such as a@0.8, or of an SPM a@merge."),
        ("h@merge", "both h and h@merge are there, so 'merge' may be a strength or a part of"),
        ("@merge", "there is no path before the @"),
        ("a@v3", "'v3' after the last @ is not a number; expected PATH@STRENGTH, such as a@0.8"),
        ("a@", "'' after the last @ is not a number"),
        ("a@0.8.1", "'0.8.1' after the last @ is not a number"),
        ("a@1_0", "'1_0' after the last @ is not a number"),
        ("@0.8", "there is no path before the @"),
        ("a@0", "the strength 0 is not between 0.001 and 10, or the same below 0"),
        ("a@nan", "the strength nan is not between"),
        ("a@-inf", "the strength -inf is not between"),
        ("a@1e999", "the strength 1e999 is not between"),
        ("a@-10.5", "the strength -10.5 is not between"),
        ("a@0.0001", "the strength 0.0001 is not between"),
        ("d@2", "both d and d@2 are there, so '2' may be a strength or a part of the name"),
    ],
)
def test_what_is_no_strength(folder: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        strengths.one(text, folder, "--spqr-overlay")
    assert str(refused.value).startswith(f"--spqr-overlay={text}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", [("a", 1.0)]),
        ("none", [("none", 1.0)]),
        ("a,b", [("a", 1.0), ("b", 1.0)]),
        ("b@0.5,a@-2,a@v2@3", [("b", 0.5), ("a", -2.0), ("a@v2", 3.0)]),
        ("e,f", [("e,f", 1.0)]),
        ("a@2,e,f@0.5,b", [("a", 2.0), ("e,f", 0.5), ("b", 1.0)]),
    ],
)
def test_several_paths(folder: Path, text: str, names: list[tuple[str, float]]) -> None:
    found = strengths.several(text, folder, OPTION)
    assert found == [Given(folder / name, strength) for name, strength in names]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,none", "there is no file or folder 'none'; expected PATH@STRENGTH, and more of them"),
        ("a,,b", "there is no file or folder ''"),
        ("a,", "there is no file or folder ''"),
        ("a@0.5,none@2", "there is no file or folder 'none@2'"),
        ("g,a", "may mean g,a or g and a; rename the one with a comma in its name"),
        ("a@99,b", "--spqr-adapter mine=a@99: the strength 99 is not between"),
        (",".join(["a"] * 40), "40 paths between commas; at most 32"),
    ],
)
def test_paths_that_cannot_be_divided(folder: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        strengths.several(text, folder, OPTION)
    assert str(refused.value).startswith(OPTION)
    assert said in str(refused.value)
