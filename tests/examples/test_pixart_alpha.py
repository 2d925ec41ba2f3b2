"""The example backbone, as installed: it passes the cases of the suite's own backbones."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from spqr_tests.checkpoint.checkpoint import read
from spqr_tests.errors import InputError
from spqr_tests.testing.backbone_cases import BackboneCases, Subject
from tests.installing import on_path
from tests.running import CHECKOUT

TESTS = CHECKOUT / "examples" / "backbone" / "tests"


@pytest.fixture(scope="module")
def own_tests(site: Path) -> Iterator[ModuleType]:
    """The module of the package's own tests."""
    with on_path(site, TESTS):
        yield importlib.import_module("test_pixart_alpha")


@pytest.fixture(scope="module")
def subject(own_tests: ModuleType) -> Subject:
    found: Subject = own_tests.subject.__wrapped__()
    return found


class TestPixArtAlpha(BackboneCases):
    pass


def test_its_own_tests_pass(own_tests: ModuleType) -> None:
    for rows, side in ((128, 1024), (64, 512)):
        own_tests.test_published_configs_say_how_its_authors_sample(rows, side)
    own_tests.test_a_model_of_1024_pixels_is_told_the_size()


def test_its_package_is_named(subject: Subject) -> None:
    checkpoint, package = subject.made.checkpoint, "spqr-pixart-alpha 1.0"
    assert checkpoint.backbone.package == package
    assert checkpoint.recognised[-1].endswith(f"is a backbone of the installed package {package}")


def test_without_the_package_its_model_is_refused(
    subject: Subject, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = subject.made.folder
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(site)])
    with pytest.raises(InputError, match=r"names the pipeline 'PixArtAlphaPipeline'; expected one"):
        read("tiny", folder)
