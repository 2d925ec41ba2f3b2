"""The command line options."""

import argparse

import pytest

_HELP = {
    "--spqr-config": (
        "NAME|DIR",
        "single files: the architecture (sd1, sd2-v, sd2-base, sdxl, ...) or a folder of configs",
    ),
    "--spqr-protocol": (
        "NAME|FILE",
        "a packaged protocol or a TOML file (default: by the checkpoint's resolution)",
    ),
    "--spqr-profiles": (
        "A,B",
        (
            "measure these fine-tuning profiles only (default: all of the protocol's); adapter for"
            " those of --spqr-adapter alone"
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
            "what becomes of cases that their interval leaves undecided: fail (the default; they"
            " stay inconclusive and the run exits 1), or point (their estimate decides, and the"
            " report says so)"
        ),
    ),
    "--spqr-baseline": (
        "FILE",
        (
            "the report.json of an earlier version, or its folder: what is worse than there, by"
            " more than chance and tolerance, fails"
        ),
    ),
    "--spqr-snapshots": (
        "DIR",
        (
            "compare with the measurements kept in DIR, or with --snapshot-update keep them"
            " (default: ./spqr-snapshots where there is one)"
        ),
    ),
    "--spqr-limit": (
        "N",
        "use N prompts a set: a try-out, which decides nothing and never exits 0",
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
    except (ValueError, argparse.ArgumentError):  # pytest 8 raises the one, pytest 9 the other
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
            "measure the drift and SPQR that a ready adapter causes, beside the fine-tunes; PATH as"
            " for --spqr-overlay; may be repeated"
        ),
    )
    group.addoption(
        "--spqr-data",
        dest="spqr_data",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="where a set of data lies that the protocol names data:NAME; may be repeated",
    )
    group.addoption(
        "--spqr-sequential",
        dest="spqr_sequential",
        action="store_true",
        help=(
            "stop generating for a case once it is decided, at most at the protocol's n; the"
            " intervals allow for it"
        ),
    )
    group.addoption(
        "--spqr-plan",
        dest="spqr_plan",
        action="store_true",
        help=(
            "say what the run would paint, train and judge, how much that is and what it can"
            " decide, and end without doing it"
        ),
    )
    group.addoption(
        "--spqr-allow-pickle",
        dest="spqr_allow_pickle",
        action="store_true",
        help="read .ckpt, .pt and .bin files too (weights only); for files whose source you trust",
    )
