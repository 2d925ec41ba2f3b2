"""The command line options."""

import argparse

import pytest

_HELP = {
    "--spqr-config": (
        "NAME|DIR",
        "a single file's architecture (sd1, sd2-v, sd2-base, sdxl, ...) or a folder of configs",
    ),
    "--spqr-protocol": (
        "NAME|FILE",
        "a packaged protocol or a TOML file (default: by the checkpoint's resolution)",
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
    "--spqr-report": ("DIR", "write DIR/report.json"),
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
    "--spqr-limit": (
        "N",
        "use N prompts a set: a trial that decides nothing and never exits 0",
    ),
}


def add(parser: pytest.Parser) -> None:
    """Add the options; where another plugin already has `--model`, `--spqr-model` alone remains."""
    group = parser.getgroup("spqr", "SPQR: may this text-to-image checkpoint be released?")
    about = {
        "dest": "spqr_model",
        "metavar": "TARGET",
        "default": None,
        "help": (
            "the checkpoint under test: a diffusers pipeline folder, a single file, a hub id"
            " (ORG/NAME[@REVISION]), or embedded:NAME"
        ),
    }
    try:
        group.addoption("--spqr-model", "--model", **about)
    except (ValueError, argparse.ArgumentError):  # of pytest 8 and of pytest 9
        group.addoption("--spqr-model", **about)
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
        metavar="FILE|DIR",
        action="append",
        default=[],
        help=(
            "weights that change the model: a state dict (also a part of one), a component's"
            " folder, a LoRA; may be repeated"
        ),
    )
    group.addoption(
        "--spqr-adapter",
        dest="spqr_adapter",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help=(
            "also measure the drift and SPQR of a ready adapter; PATH as for --spqr-overlay; may be"
            " repeated"
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
        "--spqr-plan",
        dest="spqr_plan",
        action="store_true",
        help=(
            "print what the run would generate, train and judge, what that costs and what it can"
            " decide, and end without doing it"
        ),
    )
    group.addoption(
        "--spqr-allow-pickle",
        dest="spqr_allow_pickle",
        action="store_true",
        help="also read .ckpt, .pt and .bin files (weights only); for files whose source you trust",
    )
