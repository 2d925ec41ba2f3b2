"""The command line options."""

import argparse
import itertools
import math
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from spqr_tests import quotes

_SHORT = "--model"
NAMED = pytest.StashKey[tuple[str, ...]]()
"""The test paths on the command line itself, not those in addopts or PYTEST_ADDOPTS."""

TYPED = pytest.StashKey[argparse.Namespace]()
"""The options on the command line itself, not those in addopts or PYTEST_ADDOPTS."""

_MODEL: dict[str, Any] = {
    "dest": "spqr_model",
    "metavar": "TARGET",
    "default": None,
    "help": (
        "The checkpoint under test: a diffusers pipeline folder, a single file, a hub id"
        " (ORG/NAME[@REVISION]), or embedded:NAME (an unknown name lists them)."
    ),
}
_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "SPQR: may this text-to-image checkpoint be released?": {
        "--spqr-model": _MODEL,
        "--spqr-overlay": {
            "metavar": "PATH[@STRENGTH]",
            "action": "append",
            "default": [],
            "help": (
                "Weights that change the model: a state dict (also a part of one), a component's"
                " folder, a LoRA, which may have a strength (1 is as it was trained); an SPM is"
                " scaled by the prompt, or merged with PATH@merge; may be repeated."
            ),
        },
        "--spqr-config": {
            "metavar": "NAME|DIR",
            "help": (
                "A single file's architecture (sd1, sd2-v, sd2-base, sdxl, ...) or a folder of"
                " configs, where the file does not say it."
            ),
        },
        "--spqr-allow-pickle": {
            "action": "store_true",
            "help": (
                "Also read .ckpt, .pt and .bin files (weights only); for files whose source you"
                " trust."
            ),
        },
    },
    "SPQR: what is measured": {
        "--spqr-protocol": {
            "metavar": "NAME|FILE",
            "help": (
                "A packaged protocol, an installed package's, or a TOML file (default: embedded for"
                " the embedded world, else release)."
            ),
        },
        "--spqr-data": {
            "metavar": "NAME=PATH",
            "action": "append",
            "default": [],
            "help": "The path of a set that the protocol names data:NAME; may be repeated.",
        },
        "--spqr-adapter": {
            "metavar": "NAME=PATH[@STRENGTH][,PATH...]",
            "action": "append",
            "default": [],
            "help": (
                "Also measure the drift and SPQR of a ready adapter, or of several together; PATH"
                " as for --spqr-overlay; may be repeated."
            ),
        },
        "--spqr-profiles": {
            "metavar": "A,B",
            "help": (
                "Measure these fine-tuning profiles only (default: all of the protocol's); adapter"
                " means those of --spqr-adapter."
            ),
        },
        "--spqr-scenarios": {
            "metavar": "A,B",
            "help": (
                "Measure these fine-tuning scenarios only (default: all of the protocol's); the"
                " report names its scope."
            ),
        },
        "--spqr-limit": {
            "metavar": "N",
            "help": (
                "Use N prompts a set (at least one a category), N training steps and as many"
                " reference pictures as images: a trial that decides nothing and never exits 0."
            ),
        },
    },
    "SPQR: what is decided": {
        "--spqr-thresholds": {
            "metavar": "FILE",
            "help": (
                "The thresholds (default: ./thresholds.toml, else those beside an installed"
                " package's protocol, else the packaged ones)."
            ),
        },
        "--spqr-baseline": {
            "metavar": "FILE",
            "help": (
                "The report.json of an earlier version, or its folder; a measurement that is worse,"
                " by more than chance and tolerance, fails."
            ),
        },
        "--spqr-snapshots": {
            "metavar": "DIR",
            "help": (
                "Compare with the measurements kept in DIR, or with --snapshot-update write them"
                " (default: ./spqr-snapshots if it exists)."
            ),
        },
        "--spqr-inconclusive": {
            "metavar": "fail|point",
            "help": (
                "What happens to cases that their interval leaves undecided: fail (the default;"
                " they stay inconclusive and the run exits 1) or point (their estimate decides, and"
                " the report says so)."
            ),
        },
        "--spqr-sequential": {
            "action": "store_true",
            "help": (
                "Stop generating for a case once it is decided, at the protocol's n at the latest;"
                " the intervals are wider to allow for it."
            ),
        },
        "--spqr-partial": {
            "action": "store_true",
            "help": (
                "Exit by the measurements that were selected (-k, -m, test paths); without it, a"
                " run that leaves some out does not exit 0."
            ),
        },
    },
    "SPQR: what it will take": {
        "--spqr-plan": {
            "action": "store_true",
            "help": (
                "Print what the run would generate, train and judge, what that costs and what it"
                " can decide, and end without doing it."
            ),
        },
        "--spqr-plan-device": {
            "choices": ("h200", "h100", "a100", "l40s", "l4"),
            "help": "The card that the plan's time and memory are for (default: this machine).",
        },
        "--spqr-price": {
            "metavar": "PRICE",
            "help": (
                "The price of an hour of the plan's device: the plan then says what the run would"
                " cost."
            ),
        },
    },
    "SPQR: how evidence is made": {
        "--spqr-store": {
            "metavar": "DIR",
            "help": (
                "Where evidence is kept (default: $SPQR_STORE, else the user's cache folder)."
            ),
        },
        "--spqr-device": {
            "metavar": "DEVICE",
            "help": "The device: auto, cpu, cuda or cuda:N (default: auto).",
        },
        "--spqr-executor": {
            "choices": ("local", "ray"),
            "default": "local",
            "help": (
                "Who makes the evidence: this machine's processes (local, the default), or the Ray"
                " cluster at $RAY_ADDRESS (ray), with a store that all nodes see."
            ),
        },
        "--spqr-shard": {
            "metavar": "I/N",
            "help": (
                "Make the I-th of N shares of the evidence, and end without deciding anything."
            ),
        },
        "--spqr-offline": {
            "action": "store_true",
            "help": (
                "Decide from what the store holds, as shards have left it; what is missing is"
                " listed, nothing is made, and the run then ends with 3."
            ),
        },
    },
    "SPQR: what is reported": {
        "--spqr-report": {
            "metavar": "DIR",
            "help": "Write DIR/report.json, DIR/images.jsonl and DIR/report.html.",
        },
        "--spqr-report-images": {
            "metavar": "N",
            "help": (
                "Put at most N images, made small, into report.html (default: 200; 0 for none)."
            ),
        },
        "--spqr-show-prompts": {
            "action": "store_true",
            "help": (
                "Quote prompts in messages and reports; without it they are named by their rows,"
                " since they may be harmful."
            ),
        },
    },
}
"""By the group's title in `pytest --help`, which docs/reference-options.md has too."""


def add(parser: pytest.Parser) -> None:
    """Add all options but `--model`, which `offer_model` adds."""
    for title, options in _OPTIONS.items():
        group = parser.getgroup(title)
        for name, attributes in options.items():
            group.addoption(name, **attributes)


def offer_model(
    config: pytest.Config, parser: pytest.Parser, arguments: Sequence[str]
) -> Generator[None, None, None]:
    """Add `--model` around the loading of the initial conftests, unless somebody else has it.

    A conftest that defines the option for itself would otherwise end every pytest run of its
    project with an error of argparse. Until the option is there, pytest takes its value for a test
    path; the conftests of a checkpoint's folder are not the ones that belong to the run.
    """
    paths = config.known_args_namespace.file_or_dir
    if _is_free(parser):
        for option, value in itertools.pairwise(arguments):
            if option == _SHORT and value in paths:
                paths.remove(value)
    yield
    if _is_free(parser):
        parser.getgroup(next(iter(_OPTIONS))).addoption(_SHORT, **_MODEL)
    given = parser.parse_known_args([str(one) for one in config.invocation_params.args])
    config.stash[TYPED] = given
    config.stash[NAMED] = tuple(given.file_or_dir)


def plan_for(option: Any) -> tuple[str | None, float | None]:
    """The card that a plan is for, and its price an hour; a usage error for what is neither."""
    card, price = option.spqr_plan_device, option.spqr_price
    for name, given in (("--spqr-plan-device", card), ("--spqr-price", price)):
        if given is not None and not option.spqr_plan:
            raise pytest.UsageError(f"{name} {quotes.cut(given)} is about a plan: add --spqr-plan.")
    if price is None:
        return card, None
    try:
        found = float(price)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise pytest.UsageError(
            f"--spqr-price {quotes.cut(price)}: expected the price of an hour, such as 2.50."
        )
    return card, found


def _is_free(parser: pytest.Parser) -> bool:
    """Whether no plugin and no conftest has defined `--model`."""
    probe = f"{_SHORT}=probe"
    return probe in parser.parse_known_and_unknown_args([probe])[1]
