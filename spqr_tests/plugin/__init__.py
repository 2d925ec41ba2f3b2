"""The pytest plugin, loaded through its entry point in every pytest run of the environment.

Without a model it therefore adds nothing but options and markers. Everything heavier is imported
once a model is given.
"""

from collections.abc import Generator
from typing import Any

import pytest

from spqr_tests.plugin import cases, last_word, options


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the suite's options."""
    del pluginmanager
    options.add(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Add `--model`, unless a conftest of the project has an option of that name."""
    yield from last_word.no_exit(early_config, options.offer_model(early_config, parser, args))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Have the last word on the exit code of a run with a model, on the controller."""
    if hasattr(config, "workerinput") or not last_word.is_wanted(config):
        return (yield)
    return (yield from last_word.have(config))


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """With `-n auto` and a model, a worker for each card; without cards, xdist's own number."""
    if config.option.spqr_model is None or config.option.spqr_device not in (None, "auto", "cuda"):
        return None
    from spqr_tests.store import cards

    return len(cards.visible()) or None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; with a model, validate every option and register the suite."""
    for name, about in cases.MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {about}")
    if config.option.spqr_model is None:
        if config.option.spqr_plan:
            raise pytest.UsageError(
                f"--spqr-plan says what measuring a model would cost. {cases.WHAT_TO_GIVE}"
            )
        for name in ("shard", "offline"):
            if getattr(config.option, f"spqr_{name}"):
                raise pytest.UsageError(
                    f"--spqr-{name} is about a model's evidence. {cases.WHAT_TO_GIVE}"
                )
        if config.option.spqr_baseline is not None:
            raise pytest.UsageError(
                "--spqr-baseline compares a model with an earlier version of it."
                f" {cases.WHAT_TO_GIVE}"
            )
        cases.refuse_without_model(config)
        return
    bought = options.plan_for(config.option)
    if config.option.spqr_model == "":
        raise pytest.UsageError("--model is empty. " + cases.WHAT_TO_GIVE)
    from spqr_tests.plugin import viewers
    from spqr_tests.plugin.suite import Suite

    cases.point_at(config)
    suite = Suite(config)
    last_word.register(config, suite, "spqr-suite")
    config.stash[last_word.SUITE] = suite
    viewers.register(config, suite)
    if (
        config.option.spqr_plan
        or config.option.spqr_shard
        or config.option.spqr_executor != "local"
    ):
        from spqr_tests.plugin import plan

        plan.keep_in_one_process(config)
    if config.option.spqr_plan:
        last_word.register(config, plan.Planner(suite.run, *bought), "spqr-plan")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run the suite's cases without a model, however they were selected."""
    if config.option.spqr_model is None and any(cases.is_case(item.path) for item in items):
        raise pytest.UsageError(cases.NO_MODEL)
