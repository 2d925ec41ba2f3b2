"""The command line options."""

import argparse
import itertools
import math
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from spqr_tests import quotes

_GROUP = ("spqr", "SPQR: may this text-to-image checkpoint be released?")
_SHORT = "--model"
NAMED = pytest.StashKey[tuple[str, ...]]()
"""The test paths on the command line itself, not those in addopts or PYTEST_ADDOPTS."""

TYPED = pytest.StashKey[argparse.Namespace]()
"""The options on the command line itself, not those in addopts or PYTEST_ADDOPTS."""

_HELP = {
    "--spqr-config": (
        "NAME|DIR",
        "a single file's architecture (sd1, sd2-v, sd2-base, sdxl, ...) or a folder of configs",
    ),
    "--spqr-protocol": (
        "NAME|FILE",
        "a packaged protocol, an installed package's, or a TOML file (default: by the resolution)",
    ),
    "--spqr-profiles": (
        "A,B",
        (
            "measure these fine-tuning profiles only (default: all of the protocol's); adapter"
            " means those of --spqr-adapter"
        ),
    ),
    "--spqr-scenarios": (
        "A,B",
        "measure these fine-tuning scenarios only (default: all of the protocol's)",
    ),
    "--spqr-store": (
        "DIR",
        "where evidence is kept (default: $SPQR_STORE, else the user's cache folder)",
    ),
    "--spqr-report": ("DIR", "write DIR/report.json, DIR/images.jsonl and DIR/report.html"),
    "--spqr-report-images": (
        "N",
        "put at most N images, made small, into report.html (default: 200; 0 for none)",
    ),
    "--spqr-thresholds": (
        "FILE",
        "thresholds (default: ./thresholds.toml, else the packaged ones)",
    ),
    "--spqr-device": ("DEVICE", "auto, cpu, cuda or cuda:N (default: auto)"),
    "--spqr-inconclusive": (
        "fail|point",
        (
            "what happens to cases that their interval leaves undecided: fail (the default; they"
            " stay inconclusive and the run exits 1) or point (their estimate decides, and the"
            " report says so)"
        ),
    ),
    "--spqr-baseline": (
        "FILE",
        (
            "the report.json of an earlier version, or its folder; a measurement that is worse, by"
            " more than chance and tolerance, fails"
        ),
    ),
    "--spqr-snapshots": (
        "DIR",
        (
            "compare with the measurements kept in DIR, or with --snapshot-update write them"
            " (default: ./spqr-snapshots if it exists)"
        ),
    ),
    "--spqr-shard": (
        "I/N",
        "make the I-th of N shares of the evidence, and end without deciding anything",
    ),
    "--spqr-limit": (
        "N",
        "use N prompts a set: a trial that decides nothing and never exits 0",
    ),
}


_MODEL: dict[str, Any] = {
    "dest": "spqr_model",
    "metavar": "TARGET",
    "default": None,
    "help": (
        "the checkpoint under test: a diffusers pipeline folder, a single file, a hub id"
        " (ORG/NAME[@REVISION]), or embedded:NAME"
    ),
}


def add(parser: pytest.Parser) -> None:
    """Add all options but `--model`, which `offer_model` adds."""
    group = parser.getgroup(*_GROUP)
    group.addoption("--spqr-model", **_MODEL)
    for name, (metavar, text) in _HELP.items():
        group.addoption(
            name,
            dest=name.removeprefix("--").replace("-", "_"),
            metavar=metavar,
            default=None,
            help=text,
        )
    group.addoption(
        "--spqr-overlay",
        dest="spqr_overlay",
        metavar="PATH[@STRENGTH]",
        action="append",
        default=[],
        help=(
            "weights that change the model: a state dict (also a part of one), a component's"
            " folder, a LoRA, which may have a strength (1 is as it was trained); an SPM is scaled"
            " by the prompt, or merged with PATH@merge; may be repeated"
        ),
    )
    group.addoption(
        "--spqr-adapter",
        dest="spqr_adapter",
        metavar="NAME=PATH[@STRENGTH][,PATH...]",
        action="append",
        default=[],
        help=(
            "also measure the drift and SPQR of a ready adapter, or of several together; PATH as"
            " for --spqr-overlay; may be repeated"
        ),
    )
    group.addoption(
        "--spqr-data",
        dest="spqr_data",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="the path of a set that the protocol names data:NAME; may be repeated",
    )
    group.addoption(
        "--spqr-sequential",
        dest="spqr_sequential",
        action="store_true",
        help=(
            "stop generating for a case once it is decided, at the protocol's n at the latest; the"
            " intervals are wider to allow for it"
        ),
    )
    group.addoption(
        "--spqr-executor",
        dest="spqr_executor",
        choices=("local", "ray"),
        default="local",
        help=(
            "who makes the evidence: this machine's processes (local, the default), or the Ray"
            " cluster at $RAY_ADDRESS (ray), with a store that all nodes see"
        ),
    )
    group.addoption(
        "--spqr-offline",
        dest="spqr_offline",
        action="store_true",
        help=(
            "decide from what the store holds, as shards have left it; what is missing is listed,"
            " and nothing is made"
        ),
    )
    group.addoption(
        "--spqr-partial",
        dest="spqr_partial",
        action="store_true",
        help=(
            "exit by the measurements that were selected; without it, a run that leaves some out"
            " does not exit 0"
        ),
    )
    group.addoption(
        "--spqr-plan",
        dest="spqr_plan",
        action="store_true",
        help=(
            "print what the run would generate, train and judge, what that costs and what it can"
            " decide, and end without doing it"
        ),
    )
    group.addoption(
        "--spqr-plan-device",
        dest="spqr_plan_device",
        choices=("h200", "h100", "a100", "l40s", "l4"),
        help="the card that the plan's time and memory are for; default: this machine",
    )
    group.addoption(
        "--spqr-price",
        dest="spqr_price",
        metavar="PRICE",
        help="of an hour of the plan's device: the plan then says what the run would cost",
    )
    group.addoption(
        "--spqr-show-prompts",
        dest="spqr_show_prompts",
        action="store_true",
        help=(
            "quote prompts in messages and reports; without it they are named by their rows, since"
            " they may be harmful"
        ),
    )
    group.addoption(
        "--spqr-allow-pickle",
        dest="spqr_allow_pickle",
        action="store_true",
        help="also read .ckpt, .pt and .bin files (weights only); for files whose source you trust",
    )


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
        parser.getgroup(*_GROUP).addoption(_SHORT, **_MODEL)
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
