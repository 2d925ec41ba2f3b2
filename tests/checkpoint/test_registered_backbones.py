"""Backbones of installed packages: found after the suite's own, part of the fingerprint, or refused
in one sentence.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.registered_backbones import BACKBONES_GROUP
from spqr_tests.errors import InputError
from tests.installing import install, on_path
from tests.tiny import edit_json, protocol

PIPELINE = "StableDiffusionPAGPipeline"
MODULE = """\
from spqr_tests.checkpoint.backbones.stable_diffusion import StableDiffusion


class Guided(StableDiffusion):
    name = "Perturbed"
    pipelines = frozenset({"StableDiffusionPAGPipeline"})
    original = None


BACKBONE = Guided()
"""
SAID = f"pag-models 1.2 registers the backbone of the pipeline {PIPELINE} as pag_models:BACKBONE, "


@pytest.fixture
def model(folder: Path) -> Path:
    """A pipeline of a class that the suite does not measure."""
    edit_json(folder / "model_index.json", lambda index: index.update(_class_name=PIPELINE))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A package with a backbone for it, on this process's path."""
    site = install(
        tmp_path / "site", "pag-models", BACKBONES_GROUP, {PIPELINE: "pag_models:BACKBONE"}
    )
    (site / "pag_models.py").write_text(MODULE, encoding="utf-8")
    with on_path(site):
        yield site


def _upgraded(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another site, with the package's next version."""
    other = install(
        site.parent / "upgraded",
        "pag-models",
        BACKBONES_GROUP,
        {PIPELINE: "pag_models:BACKBONE"},
        version="1.3",
    )
    monkeypatch.syspath_prepend(other)
    return other


@pytest.mark.usefixtures("site")
def test_it_is_found_and_named(model: Path) -> None:
    found = read("copy", model)
    assert found.backbone.name == "Perturbed"
    assert found.backbone.package == "pag-models 1.2"
    assert found.recognised[-1] == "Perturbed is a backbone of the installed package pag-models 1.2"
    assert found.settled(protocol()).sampler.numbers.steps == 2


def test_its_package_is_part_of_the_fingerprint(
    site: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read("copy", model).fingerprint
    assert read("copy", model).fingerprint == first
    _upgraded(site, monkeypatch)
    assert read("copy", model).fingerprint != first


def test_what_its_config_defaults_say_changes_nothing_when_it_is_saved(
    site: Path, model: Path
) -> None:
    """Classes of the suite's table have their defaults there; others have the package's."""
    from spqr_tests.checkpoint.formats import configs

    del site, model
    more = {"SomeModel": {"act": "silu", "size": 4}}
    assert configs.canonical("SomeModel", {"act": "silu", "size": 5}, more) == {"size": 5}
    assert configs.whole("SomeModel", {"size": 5}, more) == {"act": "silu", "size": 5}
    assert configs.whole("SomeModel", {"size": 5}) == {"size": 5}
    unet = configs.whole("UNet2DConditionModel", {}, {"UNet2DConditionModel": {"act_fn": "none"}})
    assert unet["act_fn"] == "silu"


@pytest.mark.usefixtures("site")
def test_it_is_not_imported_for_a_model_that_the_suite_reads(checkpoint: Checkpoint) -> None:
    found = read("base", next(iter(checkpoint.parts.models.values())).source.parents[1])
    assert found.fingerprint == checkpoint.fingerprint
    assert "pag_models" not in sys.modules


def test_it_is_found_without_torch(site: Path, model: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(site)!r})\n"
        "from spqr_tests.checkpoint import registered_backbones\n"
        f"print(registered_backbones.of_folder(Path({str(model)!r}))[-1].name)\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Perturbed\nFalse\n"


def _refusal(model: Path) -> str:
    with pytest.raises(InputError) as refused:
        read("copy", model)
    return str(refused.value)


def test_without_its_package_the_pipeline_is_not_known(model: Path) -> None:
    assert f"names the pipeline '{PIPELINE}'; expected one of " in _refusal(model)


def test_two_packages_cannot_read_one_pipeline(site: Path, model: Path) -> None:
    install(site, "other-models", BACKBONES_GROUP, {PIPELINE: "pag_models:BACKBONE"})
    assert (
        _refusal(model) == f"The backbone of the pipeline {PIPELINE} is registered by both"
        " other-models 1.2 and pag-models 1.2; uninstall one."
    )


def test_a_package_cannot_shadow_the_suite(site: Path, base: Path) -> None:
    install(site, "other-models", BACKBONES_GROUP, {"StableDiffusionPipeline": "no_such:X"})
    assert (
        _refusal(base) == "other-models 1.2 registers the backbone of the pipeline"
        " StableDiffusionPipeline as no_such:X, and the suite has that itself; uninstall the"
        " package."
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("from spqr_tests", "import no_such_module\nfrom spqr_tests", "which cannot be loaded: No"),
        ("BACKBONE = Guided()", "", "which cannot be loaded: module 'pag_models' has no attribute"),
        ("= Guided()", "= Guided", "which is the class Guided; expected an instance of a subclass"),
        ("= Guided()", "= 7", "which is of the type int; expected an instance of a subclass of Ba"),
        ('"Perturbed"', '"FLUX"', "whose name is 'FLUX'; expected one that no family of the suite"),
        ('"Perturbed"', "7", "whose name is of the type int; expected a text."),
        ('"Perturbed"', "None", "which does not state name; expected a text."),
        ("PAGPipeline", "PanoramaPipeline", "which reads StableDiffusionPanoramaPipeline; registe"),
        ('PAGPipeline"', 'PAGPipeline", "FluxPipeline"', "which also claims FluxPipeline, and the"),
        (
            "    original = None\n",
            "",
            "which states original: single files are read of the",
        ),
        ("original = None", "original = None; denoiser = 'net'", "whose denoiser 'net' is not amo"),
    ],
)
def test_a_backbone_that_cannot_be_used_is_refused(
    site: Path, model: Path, old: str, new: str, said: str
) -> None:
    assert old in MODULE
    (site / "pag_models.py").write_text(MODULE.replace(old, new, 1), encoding="utf-8")
    assert _refusal(model).startswith(SAID + said)


def test_a_backbone_that_breaks_is_named(site: Path, model: Path) -> None:
    broken = (
        "    original = None\n    def relations(self, configs):\n        return configs['net']\n"
    )
    text = MODULE.replace("    original = None\n", broken)
    (site / "pag_models.py").write_text(text, encoding="utf-8")
    assert _refusal(model) == "pag-models 1.2 broke while copy was read: 'net' (KeyError)."
