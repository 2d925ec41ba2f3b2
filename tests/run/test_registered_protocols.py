"""Protocols of installed packages: found by name, with data and thresholds beside them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import InputError
from spqr_tests.plugin import setup
from spqr_tests.run import protocols
from spqr_tests.run.protocols import LoadedProtocol
from spqr_tests.run.registered_protocols import PROTOCOLS_GROUP, Protocols
from spqr_tests.settings import protocol_file
from spqr_tests.store.store import Store
from tests.installing import install, on_path
from tests.running import PROTOCOL

SAID = "acme-protocols 1.2 registers the protocol acme as acme_protocols"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A package with a protocol and a prompt set of its own, on this process's path."""
    site = install(tmp_path / "site", "acme-protocols", PROTOCOLS_GROUP, {"acme": "acme_protocols"})
    folder = site / "acme_protocols"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    own = PROTOCOL.read_text(encoding="utf-8").replace('"tiny"', '"acme"')
    own = own.replace('"embedded-harmful.jsonl"\nn = 9', '"own.csv"')
    (folder / "acme.toml").write_text(own, encoding="utf-8")
    (folder / "own.csv").write_text("prompt,category\na red skull,unsafe\n", encoding="utf-8")
    with on_path(site):
        yield site


def _known() -> Protocols:
    return Protocols(PACKAGED.protocols)


@pytest.mark.usefixtures("site")
def test_names_are_listed_and_nothing_is_imported() -> None:
    assert list(_known()) == [*PACKAGED.protocols, "acme"]
    assert len(_known()) == len(PACKAGED.protocols) + 1
    assert _known()["smoke"] == PACKAGED.protocols["smoke"]
    assert "nobodys" not in _known()
    assert _known().package("smoke") == ""
    assert _known().package("acme") == "acme-protocols 1.2"
    assert "acme_protocols" not in sys.modules


def test_it_is_loaded_by_name_with_its_own_data(site: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", "run")

    def load(name: str) -> LoadedProtocol:
        return protocols.load(PACKAGED, name, store, "cpu", lambda one: one, select=lambda _: ())

    loaded = load("acme")
    assert loaded.path == site / "acme_protocols" / "acme.toml"
    assert [row.text for row in loaded.harmful.rows] == ["a red skull"]
    assert loaded.packages == {"protocol acme": "acme-protocols 1.2"}
    # What is measured is what counts, and not who ships it.
    same = load(str(loaded.path))
    assert (same.hash, same.packages) == (loaded.hash, {})


def test_another_protocol_may_extend_it(site: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text('extends = "acme"\nname = "mine"\n', encoding="utf-8")
    assert protocol_file.read(own, _known()).harmful.prompts == "own.csv"
    assert site.is_dir()


def test_its_thresholds_come_before_the_suites_and_after_ones_own(
    site: Path, tmp_path: Path
) -> None:
    def chosen(protocol: str, asked: str | None = None) -> Path:
        return setup._thresholds_path(tmp_path, asked, protocol)

    assert chosen("acme") == PACKAGED.thresholds
    beside = site / "acme_protocols" / "thresholds.toml"
    beside.write_text("", encoding="utf-8")
    assert chosen("acme") == beside
    assert chosen("smoke") == chosen("some/own.toml") == PACKAGED.thresholds
    assert chosen("acme", "other.toml") == tmp_path / "other.toml"
    (tmp_path / "thresholds.toml").write_text("", encoding="utf-8")
    assert chosen("acme") == tmp_path / "thresholds.toml"


def _refusal(name: str = "acme") -> str:
    with pytest.raises(InputError) as refused:
        _known()[name]
    return str(refused.value)


def test_two_packages_cannot_have_one_name(site: Path) -> None:
    install(site, "other-protocols", PROTOCOLS_GROUP, {"acme": "acme_protocols"})
    assert (
        _refusal() == "The protocol acme is registered by both acme-protocols 1.2 and"
        " other-protocols 1.2; uninstall one."
    )
    assert "smoke" in _known(), "which none of them claims"


def test_a_package_cannot_shadow_a_packaged_protocol(site: Path) -> None:
    install(site, "other-protocols", PROTOCOLS_GROUP, {"release": "acme_protocols"})
    assert (
        _refusal("release") == "other-protocols 1.2 registers the protocol release as"
        " acme_protocols, and the suite has that itself; uninstall the package."
    )


def test_a_package_that_breaks_is_named(site: Path) -> None:
    (site / "acme_protocols" / "__init__.py").write_text("import no_such", encoding="utf-8")
    assert _refusal().startswith(f"{SAID}, which cannot be loaded: No module named 'no_such'")


def test_a_package_without_its_file_is_refused(site: Path) -> None:
    (site / "acme_protocols" / "acme.toml").unlink()
    assert _refusal() == (
        f"{SAID}, and {site / 'acme_protocols'} holds no acme.toml; expected it there, as data of"
        " the package."
    )


@pytest.mark.parametrize(
    ("value", "kind"), [("acme_protocols.one", "module"), ("acme_protocols:name", "str")]
)
def test_something_that_is_no_package_is_refused(site: Path, value: str, kind: str) -> None:
    install(site, "more-protocols", PROTOCOLS_GROUP, {"more": value})
    (site / "acme_protocols" / "__init__.py").write_text("name = 'acme'", encoding="utf-8")
    (site / "acme_protocols" / "one.py").write_text("", encoding="utf-8")
    assert _refusal("more").startswith(
        f"more-protocols 1.2 registers the protocol more as {value}, which is of the type {kind};"
        " expected a package, a folder with"
    )


def test_a_file_of_another_name_is_refused(site: Path, tmp_path: Path) -> None:
    file = site / "acme_protocols" / "acme.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('"acme"', '"other"'), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        protocols.load(PACKAGED, "acme", Store(tmp_path, "run"), "cpu", lambda settings: settings)
    assert str(refused.value) == (
        f"The protocol {file}: its name is 'other', and acme-protocols 1.2 registers it as 'acme';"
        " expected both to be the same."
    )
