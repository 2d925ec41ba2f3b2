"""The Dockerfile, as far as it can be checked without Docker."""

import re
import shlex
import tomllib

from tests.running import CHECKOUT

PAGE = CHECKOUT / "docs" / "install.md"


def instructions() -> list[tuple[str, str]]:
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (one.partition(" ") for one in lines if one and one[0] != "#")
    ]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    kept = {one[1:] for one in ignored if one.startswith("!")}
    copied = {
        name for word, rest in instructions() if word == "COPY" for name in shlex.split(rest)[:-1]
    }
    assert copied == kept
    assert all((CHECKOUT / name).exists() for name in copied)
    # Setuptools reads these from pyproject.toml, and would fail without them.
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= set(project["tool"]["setuptools"]["package-dir"].values())
    assert needed <= copied
    # fixtures/ holds it as a link.
    assert "thresholds.toml" in copied


def test_it_runs_as_nobody_special_and_keeps_its_store() -> None:
    found = instructions()
    words = [word for word, _ in found]
    assert words[0] == "FROM"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert ("VOLUME", "/store") in found
    assert ("ENV", "SPQR_STORE=/store") in found
    (entry,) = (rest for word, rest in found if word == "ENTRYPOINT")
    assert entry.startswith('["python", "-m", "pytest"')
    assert {"FROM", "ARG", "RUN", "COPY", "USER", "ENV", "VOLUME", "WORKDIR", "ENTRYPOINT"} == set(
        words
    )


def test_torch_comes_from_one_index_and_the_suite_with_extras_that_it_has() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = (one for one in project["dependencies"] if one.startswith("torch>"))
    (index,) = (rest for word, rest in instructions() if word == "ARG")
    pips = [
        shlex.split(rest)[2:]
        for word, rest in instructions()
        if word == "RUN" and rest.startswith("pip install")
    ]
    first, second = ([one for one in words if not one.startswith("--")] for words in pips)
    assert pips[0][pips[0].index("--index-url") + 1] == f"${index.partition('=')[0]}"
    assert first == [f"${index.partition('=')[0]}", torch, "torchvision"]
    assert not any("--extra-index-url" in words for words in pips)
    (suite,) = second
    folder, _, extras = suite.rstrip("]").partition("[")
    assert all(one in project["optional-dependencies"] for one in extras.split(",") if one)
    copied = [rest.split()[-1] for word, rest in instructions() if word == "COPY"]
    assert all(one.startswith(f"{folder}/") for one in copied)


def test_the_page_takes_torch_and_torchvision_from_one_index() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if "--index-url" in line]
    assert found
    assert all("torch torchvision --index-url" in line for line in found)


def test_the_page_lists_every_extra() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(project["optional-dependencies"])
