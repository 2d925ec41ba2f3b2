"""Configuration: what a project or an environment says to every pytest run."""

from benchmarks.exit_codes.way import Way


def _addopts(options: str) -> Way:
    return Way(f"`addopts = {options}`", ini=f"addopts = {options}")


def _environment(options: str) -> Way:
    return Way(f"`PYTEST_ADDOPTS='{options}'`", environment={"PYTEST_ADDOPTS": options})


def _ini(line: str) -> Way:
    return Way(f"`{line}` in pytest.ini", ini=line)


WAYS = (
    _addopts("-k safety"),
    _addopts("-m quality"),
    _addopts("--deselect test_score.py"),
    _addopts("--ignore-glob=*test_r*.py"),
    _environment("-k safety"),
    _environment("--deselect test_score.py"),
    _environment("--setup-only"),
    _environment("--"),
    _addopts("--"),
    _addopts("-p no:spqr-suite"),
    _addopts("-x --maxfail=1"),
    _addopts("tests/unit"),
    Way("`addopts = --collect-only`", ini="addopts = --collect-only"),
    Way("`addopts = --help`", ini="addopts = --help"),
    Way("`addopts = --spqr-plan`", ini="addopts = --spqr-plan"),
    Way("`-o addopts='-k safety'`", ("-o", "addopts=-k safety")),
    Way(
        "`-c other.ini` with `addopts = -k safety`", ("-c", "pytest.ini"), ini="addopts = -k safety"
    ),
    _ini("python_files = check_*.py"),
    _ini("python_functions = check_*"),
    _ini("testpaths = nowhere"),
    _ini("norecursedirs = *"),
    _ini("usefixtures = nothing_of_that_name"),
    _ini("filterwarnings = error"),
    _ini("required_plugins = pytest-of-no-name"),
    _ini("minversion = 99.0"),
    Way("`PYTEST_DISABLE_PLUGIN_AUTOLOAD=1`", environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
    Way(
        "`PYTEST_PLUGINS` names a plugin that drops cases",
        environment={"PYTEST_PLUGINS": "way"},
        plugin="def pytest_collection_modifyitems(items): del items[3:]",
    ),
    Way(
        "`PYTHONOPTIMIZE=1`, so that asserts do nothing, where a threshold is missed",
        environment={"PYTHONOPTIMIZE": "1"},
        thresholds={"quality": 0.9999},
    ),
    Way("`SPQR_STORE` where a file is", environment={"SPQR_STORE": "thresholds.toml"}),
    Way("`collect_ignore_glob = ['*']` in a conftest", conftest="collect_ignore_glob = ['*']"),
    Way("a conftest that cannot be read", conftest="import nothing_of_that_name"),
    Way("a conftest that exits", conftest="import sys; sys.exit(0)"),
    Way(
        "a conftest that skips",
        conftest="import pytest; pytest.skip('not here', allow_module_level=True)",
    ),
    Way(
        "a conftest that calls `pytest.exit` with 0",
        conftest="import pytest; pytest.exit('enough', returncode=0)",
    ),
    Way(
        "a conftest with a fixture `spqr_run`",
        conftest="import pytest\n@pytest.fixture(scope='session')\ndef spqr_run(): return None",
    ),
    Way(
        "a plugin with a fixture `spqr_gate`",
        plugin="import pytest\n@pytest.fixture\ndef spqr_gate(): return lambda measured: None",
    ),
    Way(
        "a plugin with a fixture named `spqr_safety` by its decorator",
        plugin="import pytest\n@pytest.fixture(name='spqr_safety')\ndef mine(): return None",
    ),
    Way(
        "a conftest with an option `--model` of its own",
        conftest="def pytest_addoption(parser): parser.addoption('--model')",
    ),
)
