"""The package as a whole: its examples, and what it does not import."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

from spqr_tests import verdict

MODULES = [module.name for module in pkgutil.iter_modules(verdict.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"spqr_tests.verdict.{name}")
    assert doctest.testmod(module).failed == 0


def test_imports_neither_torch_nor_pytest_nor_the_rest_of_the_suite() -> None:
    imports = "; ".join(f"import spqr_tests.verdict.{name}" for name in MODULES)
    listing = f"import sys; {imports}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout.split()
    # Every run would wait for scipy.stats longer than for all other imports.
    assert not {"torch", "pytest", "_pytest", "scipy.stats"} & set(loaded)
    ours = {name for name in loaded if name.startswith("spqr")}
    assert ours == {
        "spqr_tests",
        "spqr_tests.errors",
        "spqr_tests.files",
        "spqr_tests.quotes",
        "spqr_tests.verdict",
        *(f"spqr_tests.verdict.{name}" for name in MODULES),
    }
