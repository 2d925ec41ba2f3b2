"""The packaged cases: where they are, when they run and how they are parametrized."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spqr_tests.plugin import options

if TYPE_CHECKING:
    # This module is loaded in every pytest run of the environment, also without a model.
    from spqr_tests.run.run import Run
    from spqr_tests.verdict.names import Variant

FOLDER = Path(__file__).resolve().parent.parent
MARKERS = {
    "safety": "S, the share of harmful prompts' images that no judge flags",
    "adherence": "P, the CLIP score of benign prompts over the protocol's ceiling",
    "quality": "Q, the distance to a reference set, placed between the protocol's anchors",
    "robustness": "R, the drift in harmfulness after benign fine-tuning",
    "after": "S after benign fine-tuning, where the thresholds bound it",
    "dose": "the drift at several steps of one fine-tuning, where the protocol has a curve",
    "score": "SPQR, the harmonic mean of the four axes",
    "versions": "each measurement against an earlier version's, from a baseline or a snapshot",
}
WHAT_TO_GIVE = (
    "Pass the checkpoint under test: --model path/to/diffusers-folder, or --model embedded:uce to"
    " try the suite (this project's own tests run with: pytest tests)."
)
LEFT_OUT = pytest.StashKey[tuple[str, ...]]()
"""Test paths of addopts or PYTEST_ADDOPTS, which a run with a model does not collect."""
NOTHING: tuple[str, ...] = ()
NO_MODEL = f"The SPQR cases need a model. {WHAT_TO_GIVE}"


def is_case(path: Path) -> bool:
    """Whether a collected file is one of the packaged cases."""
    return path.resolve().parent == FOLDER


def refuse_without_model(config: pytest.Config) -> None:
    """Raise a usage error when the packaged cases are selected by path without a model."""
    for argument in config.args:
        path = Path(str(argument).split("::")[0])
        path = path if path.is_absolute() else config.invocation_params.dir / path
        if path.exists() and (path.resolve() == FOLDER or is_case(path)):
            raise pytest.UsageError(NO_MODEL)


def point_at(config: pytest.Config) -> None:
    """Have a run without test paths collect the packaged cases.

    With `--model path/to/ckpt`, pytest has by now mistaken the checkpoint's path for a test path,
    so that rootdir and ini file may be another project's. Its patterns for names of files and
    functions are extended by the cases' own.
    """
    config.addinivalue_line("python_files", "test_*.py")
    config.addinivalue_line("python_functions", "test_")
    if config.stash.get(options.NAMED, NOTHING):
        return
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        # A project's addopts may name its tests; a release gate that ran them alone would pass.
        model = config.option.spqr_model
        config.stash[LEFT_OUT] = tuple(path for path in config.args if path != model)
    config.args[:] = [str(FOLDER)]
    start = config.invocation_params.dir
    above = config.rootpath in start.parents and config.inipath is not None
    if (
        config.rootpath != start
        and not above
        and config.option.rootdir is None
        and hasattr(config, "_rootpath")
    ):
        # Otherwise the cache would be written next to the weights, and test ids would start in
        # their folder.
        config._rootpath = start  # noqa: SLF001  pytest has no public way (pytest #8846)


def is_not_asked(run: "Run", path: Path, function: object) -> bool:
    """Whether a case is of a version, a threshold or a curve that the run does not have.

    Such a case is not collected.
    """
    if not is_case(path) or not inspect.isfunction(function):
        return False
    asked = inspect.signature(function).parameters
    gates, by_category = run.thresholds.gates, "category" in asked
    match path.stem.removeprefix("test_"):
        case "robustness" if by_category:
            return not gates.drift_by_category
        case "after":
            return not (gates.after_by_category if by_category else gates.after)
    needs = {
        "spqr_since_baseline": run.baseline,
        "spqr_last_version": run.snapshots,
        **_curves(run),
    }
    return any(fixture in asked and not needed for fixture, needed in needs.items())


def _curves(run: "Run") -> dict[str, tuple["Variant", ...]]:
    """The variants with a curve by the fixture of their case: it is decided, or reported."""
    # Of both, what is reported is first: its fixture asks for the other.
    return {"spqr_curve": () if run.doses else tuple(run.curves), "spqr_dose": run.doses}


def parametrize(metafunc: pytest.Metafunc, run: "Run") -> None:
    """Make a case for each category, each profile x scenario and each compared measurement."""
    if not is_case(Path(metafunc.module.__file__ or "")):
        return
    asked = set(metafunc.fixturenames)
    categories = run.protocol.harmful.categories
    own = (found for one, found in _curves(run).items() if one in asked)
    variants = next(own, run.variants)
    if {"profile", "scenario", "category"} <= asked:
        metafunc.parametrize(
            ("profile", "scenario", "category"),
            [(*variant, category) for variant in variants for category in categories],
            ids=[f"{variant.label}-{category}" for variant in variants for category in categories],
        )
    elif {"profile", "scenario"} <= asked:
        metafunc.parametrize(
            ("profile", "scenario"), variants, ids=[variant.label for variant in variants]
        )
    elif "category" in asked:
        metafunc.parametrize("category", categories)
    if "measurement" in metafunc.fixturenames:
        metafunc.parametrize("measurement", run.expected)


def arrange(items: list[pytest.Item]) -> None:
    """Sort the cases by axis, cheap ones first.

    Another project's warning filters do not apply to them.
    """
    order = [f"test_{axis}.py" for axis in MARKERS]
    items.sort(key=lambda item: order.index(item.path.name) if is_case(item.path) else -1)
    for item in items:
        if is_case(item.path):
            # Another project's `filterwarnings = error` would turn a library's warning into a
            # broken run.
            item.add_marker(pytest.mark.filterwarnings("default"))
