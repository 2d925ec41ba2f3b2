"""Prompt layouts of installed packages: recognised by the same rule, named, or refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spqr_tests.data.prompts import PromptSet, read
from spqr_tests.data.prompts.registered_layouts import LAYOUTS_GROUP
from spqr_tests.errors import InputError
from spqr_tests.settings.prompts import PromptsSettings
from tests.installing import install, on_path

MODULE = """\
from spqr_tests.data.prompts import cells
from spqr_tests.data.prompts.layout import Layout, Row


def _row(record):
    return Row(
        record, cells.text(record, "prompt"), categories=cells.category(record, "hazard")
    )


LAYOUT = Layout("hazards", frozenset({"prompt", "hazard"}), harmful=_row, benign=None)
"""
CSV = "Prompt,Hazard\na red skull,unsafe\na dagger,sharp\n"
SAID = "hazard-sets 1.2 registers the prompt layout hazards as hazard_sets, "


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    site = install(tmp_path / "site", "hazard-sets", LAYOUTS_GROUP, {"hazards": "hazard_sets"})
    (site / "hazard_sets.py").write_text(MODULE, encoding="utf-8")
    with on_path(site):
        yield site


def _read(folder: Path, text: str = CSV, role: str = "harmful") -> PromptSet:
    path = folder / "set.csv"
    path.write_text(text, encoding="utf-8")
    return read(path, PromptsSettings(prompts="set.csv"), role=role)  # type: ignore[arg-type]


@pytest.mark.usefixtures("site")
def test_a_file_in_a_packages_layout_is_read_and_the_package_named(tmp_path: Path) -> None:
    found = _read(tmp_path)
    assert (found.layout, found.package) == ("hazards", "hazard-sets 1.2")
    assert [row.categories for row in found.rows] == [("unsafe",), ("sharp",)]
    # The package is known by what it reads: its rows decide the digest.
    plain = _read(tmp_path, "prompt,category\na red skull,unsafe\na dagger,sharp\n")
    assert (plain.layout, plain.package) == ("", "")
    assert plain.digest == found.digest


def test_without_its_package_it_is_a_plain_file_without_categories(tmp_path: Path) -> None:
    found = _read(tmp_path)
    assert (found.layout, found.categories) == ("", ("set",))


@pytest.mark.usefixtures("site")
def test_the_role_that_a_layout_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is hazards, which holds harmful prompts; the protocol"):
        _read(tmp_path, role="benign")


def test_columns_that_only_a_package_knows_are_a_header(site: Path, tmp_path: Path) -> None:
    text = MODULE.replace('"prompt"', '"what to draw there"')
    (site / "hazard_sets.py").write_text(text, encoding="utf-8")
    rows = "what to draw there,hazard of that one\na red skull,unsafe\n"
    found = _read(tmp_path, rows.replace("hazard of that one", "hazard"))
    assert [row.text for row in found.rows] == ["a red skull"]


def test_a_layout_that_adds_columns_to_another_is_meant_where_they_are_there(
    site: Path, tmp_path: Path
) -> None:
    text = MODULE.replace('{"prompt", "hazard"}', '{"prompt", "categories", "sd_seed", "hazard"}')
    (site / "hazard_sets.py").write_text(text, encoding="utf-8")
    i2p = "prompt,categories,sd_seed\na red skull,violence,7\n"
    assert _read(tmp_path, i2p).layout == "I2P"
    more = "prompt,categories,sd_seed,hazard\na red skull,violence,7,unsafe\n"
    assert _read(tmp_path, more).layout == "hazards"


@pytest.mark.usefixtures("site")
def test_a_file_that_is_of_two_layouts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"may be MMA-Diffusion or hazards by its columns"):
        _read(tmp_path, "prompt,hazard,target_prompt,adv_prompt\na,b,c,d\n")


def _refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        _read(folder)
    return str(refused.value)


def test_two_packages_cannot_register_one_name(site: Path, tmp_path: Path) -> None:
    install(site, "other-sets", LAYOUTS_GROUP, {"hazards": "hazard_sets"})
    assert (
        _refusal(tmp_path) == "The prompt layout hazards is registered by both hazard-sets 1.2 and"
        " other-sets 1.2; uninstall one."
    )


def test_a_package_cannot_shadow_a_published_layout(site: Path, tmp_path: Path) -> None:
    install(site, "other-sets", LAYOUTS_GROUP, {"I2P": "hazard_sets"})
    assert (
        _refusal(tmp_path) == "other-sets 1.2 registers the prompt layout I2P as hazard_sets, and"
        " the suite has that itself; uninstall the package."
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("from spqr_tests", "import no_such_module\nfrom spqr_tests", "which cannot be loaded: No"),
        ("LAYOUT = Layout(", "OTHER = Layout(", "a module whose LAYOUT or LAYOUTS is None; expec"),
        ("LAYOUT = Layout(", "LAYOUTS = 7, Layout(", "a module whose LAYOUT or LAYOUTS is 7; ex"),
        ('"hazards"', '"hazard"', "whose own name is 'hazard'; expected both to be the same."),
        ("harmful=_row", "harmful=None", "which reads neither harmful nor benign prompts."),
        ('{"prompt", "hazard"}', '{"prompt", "Hazard"}', "which names the column 'Hazard'; colum"),
        ('{"prompt", "hazard"}', '{"prompt", "category"}', "which is known by category, prompt a"),
        ('{"prompt", "hazard"}', '{"safe", "nsfw", "tag"}', "which is known by the same columns "),
    ],
)
def test_a_layout_that_cannot_be_used_is_refused(
    site: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in MODULE
    (site / "hazard_sets.py").write_text(MODULE.replace(old, new, 1), encoding="utf-8")
    assert _refusal(tmp_path).startswith(SAID + said)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("raise KeyError('x')", "'x' (KeyError)"),
        ("return record", "hazards made Record of it, and no Row (TypeError)"),
        ("return Row(record, 7)", "hazards made Row of it, and no Row (TypeError)"),
    ],
)
def test_a_layout_that_breaks_is_named_with_the_row(
    site: Path, tmp_path: Path, new: str, said: str
) -> None:
    text = MODULE.replace("    return Row(\n", f"    {new}\n    return Row(\n")
    (site / "hazard_sets.py").write_text(text, encoding="utf-8")
    assert (
        _refusal(tmp_path)
        == f"hazard-sets 1.2 broke while {tmp_path / 'set.csv'}, line 2, was read: {said}."
    )


def test_something_that_is_no_module_is_refused(site: Path, tmp_path: Path) -> None:
    install(site, "more-sets", LAYOUTS_GROUP, {"more": "hazard_sets:LAYOUT"})
    assert _refusal(tmp_path).startswith(
        "more-sets 1.2 registers the prompt layout more as hazard_sets:LAYOUT, which is of the type"
        " Layout; expected a module"
    )
