"""What packages register: found without an import, and named in one sentence when it is broken."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spqr_tests import packages
from spqr_tests.errors import EvidenceError, InputError
from tests.installing import install, on_path

GROUP = "spqr_tests.things"


def _found() -> tuple[packages.Registered, ...]:
    return packages.found(GROUP, "the thing")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A distribution that registers two things of a module, on this process's path."""
    install(tmp_path, "some-things", GROUP, {"b": "some_things:B", "a": "some_things"})
    (tmp_path / "some_things.py").write_text("B = 7\n", encoding="utf-8")
    with on_path(tmp_path):
        yield tmp_path


@pytest.mark.usefixtures("site")
def test_they_are_found_by_name_and_loaded_when_they_are_asked_for() -> None:
    first, second = _found()
    assert "some_things" not in sys.modules
    assert (first.name, second.name) == ("a", "b")
    assert first.package == "some-things 1.2"
    assert second.load() == 7
    assert first.load() is sys.modules["some_things"]


def test_without_packages_there_are_none() -> None:
    assert _found() == ()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('no weights\\nat all')", "no weights (OSError)"),
        ("import no_such_module", "No module named 'no_such_module' (ModuleNotFoundError)"),
        ("A = 7", "module 'some_things' has no attribute 'B' (AttributeError)"),
        ("raise SystemExit(9)", "9 (SystemExit)"),
        ("raise AssertionError", "AssertionError"),
        ("B = (", "'(' was never closed (some_things.py, line 1) (SyntaxError)"),
    ],
)
def test_what_cannot_be_loaded_is_named(site: Path, code: str, said: str) -> None:
    (site / "some_things.py").write_text(code, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        _found()[1].load()
    assert str(refused.value) == (
        "some-things 1.2 registers the thing b as some_things:B, which cannot be loaded:"
        f" {said}. Mend or uninstall the package."
    )


def test_two_packages_cannot_have_one_name(site: Path) -> None:
    install(site, "other-things", GROUP, {"b": "some_things:B"})
    found = _found()
    assert packages.only(found, "a") is not None
    assert packages.only(found, "c") is None
    with pytest.raises(InputError) as refused:
        packages.only(found, "b")
    assert (
        str(refused.value)
        == "The thing b is registered by both other-things 1.2 and some-things 1.2; uninstall one."
    )


@pytest.mark.usefixtures("site")
def test_what_the_suite_has_is_not_free() -> None:
    packages.require_free(_found(), {"c"})
    with pytest.raises(InputError) as refused:
        packages.require_free(_found(), {"a", "c"})
    assert (
        str(refused.value)
        == "some-things 1.2 registers the thing a as some_things, and the suite has that itself;"
        " uninstall the package."
    )


def test_what_breaks_in_a_package_is_the_packages() -> None:
    with (
        pytest.raises(InputError, match=r"^some 1 broke while it was read: 'x' \(KeyError\)\.$"),
        packages.blamed("some 1", "it was read"),
    ):
        raise KeyError("x")
    with pytest.raises(KeyError), packages.blamed("", "it was read"):
        raise KeyError("x")
    with pytest.raises(EvidenceError, match=r"^its own$"), packages.blamed("some 1", "it was read"):
        raise EvidenceError("its own")
