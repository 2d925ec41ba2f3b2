"""``python -m spqr_tests store``: lists, verifies, prunes, exports and imports evidence."""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from spqr_tests.commands.console import Lines, row
from spqr_tests.errors import InputError
from spqr_tests.run import places
from spqr_tests.store import archive, contents, looks, manifests
from spqr_tests.store.contents import Entry
from spqr_tests.store.manifests import Manifest, Name
from spqr_tests.store.store import Store

_DAY = 86400.0
_CHOICES = ("model", "days", "keep", "unused", "damaged", "earlier")
"""Options that choose what is pruned."""
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def add(commands: Any) -> None:
    """Add the command and its parts to a parser's subparsers."""
    parser = commands.add_parser("store", help="what is kept: list, verify, prune, export, import")
    place: dict[str, Any] = {
        "metavar": "DIR",
        "help": "the store (default: $SPQR_STORE, else the user's cache)",
    }
    parser.add_argument("--store", **place)
    # Also where most people type it, after what is to be done; without a default of its own.
    anywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    anywhere.add_argument("--store", **place)
    choices = parser.add_subparsers(title="what to do", required=True)
    part = partial(choices.add_parser, parents=[anywhere])
    part("list", help="by model and protocol").set_defaults(run=_list)
    verify = part("verify", help="read every entry whole; exit 1 if any is damaged")
    verify.set_defaults(run=_verify)
    reuse = part(
        "reuse", help="what a run with the options that follow would find there (its plan)"
    )
    reuse.set_defaults(run=_reuse, forwards=True)
    prune = part("prune", help="remove entries; without --yes only say which")
    prune.add_argument("--model", help="of the runs of this model (its name or fingerprint)")
    prune.add_argument("--days", type=float, help="of runs that were last used before so many days")
    prune.add_argument("--keep", metavar="SIZE", help="oldest runs first, until SIZE is left: 50G")
    prune.add_argument(
        "--unused", action="store_true", help="of no finished run, and older than a day"
    )
    prune.add_argument("--damaged", action="store_true", help="what was moved aside as damaged")
    prune.add_argument("--earlier", action="store_true", help="what earlier versions left")
    prune.add_argument("--yes", action="store_true", help="remove them")
    prune.set_defaults(run=_prune)
    export = part("export", help="the evidence of a model's runs as one tar file")
    export.add_argument("--model", required=True, help="its name or fingerprint")
    export.add_argument("--protocol", help="its name or hash (default: all)")
    export.add_argument("archive", type=Path)
    export.set_defaults(run=_export)
    taking = part("import", help="take the entries of such a file")
    taking.add_argument("archive", type=Path)
    taking.set_defaults(run=_import)


def _list(given: argparse.Namespace) -> int:
    store = _store(given)
    found = {entry.name: entry for entry in contents.entries(store)}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold", min_width=16)
    table.add_column("protocol", no_wrap=True)
    for column in ("last used", "entries", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    attributed: set[Name] = set()
    for one in sorted(manifests.everything(store), key=lambda one: one.last, reverse=True):
        own = [found[name] for name in _names(one) if name in found]
        attributed.update(entry.name for entry in own)
        model = f"{one.model} ({one.fingerprint[:12]})"
        row(table, model, one.protocol, one.last, str(len(own)), _spelt(own))
    rest = [entry for name, entry in found.items() if name not in attributed]
    console = Lines()
    console.say(f"{store.folder}: {len(found)} entries, {_spelt(found.values())}")
    if table.row_count:
        console.show(table)
    if rest:
        console.say(f"of no finished run: {len(rest)} entries, {_spelt(rest)}")
    for what, paths in _leftovers(store).items():
        if paths:
            size = _size(sum(map(contents.size_of, paths)))
            console.say(f"{what}: {', '.join(path.name for path in paths[:5])}, {size}")
    return 0


def _verify(given: argparse.Namespace) -> int:
    store, console = _store(given), Lines()
    count, damaged = 0, 0
    for entry in contents.entries(store):
        count += 1
        if said := contents.problem(store, entry):
            damaged += 1
            console.say(f"{entry.path.relative_to(store.folder)}: {said}")
    console.say(
        f"{count} entries read, {damaged} damaged"
        + (": the next run that needs them makes them again" if damaged else "")
    )
    return int(damaged > 0)


def _reuse(given: argparse.Namespace) -> int:
    store = _store(given)
    command = [sys.executable, "-m", "pytest", "--spqr-plan", f"--spqr-store={store.folder}"]
    # The user's own options, for the user's own pytest.
    return subprocess.run([*command, *given.options], check=False).returncode  # noqa: S603


def _prune(given: argparse.Namespace) -> int:
    store, console = _store(given), Lines()
    if all(getattr(given, name) is None or getattr(given, name) is False for name in _CHOICES):
        raise InputError(
            "store prune: say what is to be removed:"
            f" {', '.join(f'--{name}' for name in _CHOICES)}."
        )
    found = {entry.name: entry for entry in contents.entries(store)}
    runs = list(manifests.everything(store))
    leaving = _leaving(given, runs, found)
    used = {name for one in runs for name in _names(one)}
    kept = {name for one in runs if one not in leaving for name in _names(one)}
    chosen = {name for one in leaving for name in _names(one)} - kept
    if given.unused:
        limit = time.time() - _DAY
        # Looks belong to no run: whoever prunes has asked before all the same.
        used |= {name for name in found if name[0] == looks.KIND}
        chosen |= {n for n, entry in found.items() if n not in used and entry.written < limit}
    entries = [found[name] for name in sorted(chosen) if name in found]
    others = _leftovers(store)
    paths = [entry.path for entry in entries]
    paths += others["damaged"] if given.damaged else []
    paths += others["of earlier versions"] if given.earlier else []
    size = _size(sum(map(contents.size_of, paths)))
    for one in leaving:
        console.say(f"{one.model} ({one.fingerprint[:12]}), {one.protocol}, {one.last}")
    console.say(f"{'removed' if given.yes else 'would remove'}: {len(paths)} entries, {size}")
    if not given.yes:
        console.say("nothing was removed; add --yes to do so")
        return 0
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{path} cannot be removed ({error.strerror}).") from error
    return 0


def _leaving(
    given: argparse.Namespace, runs: list[Manifest], found: dict[Name, Entry]
) -> list[Manifest]:
    """The runs whose entries go, unless another run keeps them."""
    leaving = _chosen(runs, given.model, None) if given.model else []
    if given.days is not None:
        limit = time.strftime("%Y-%m-%d", time.gmtime(time.time() - given.days * _DAY))
        leaving += [one for one in runs if one.last <= limit and one not in leaving]
    if given.keep is not None:
        most = _bytes(given.keep)
        for one in sorted(runs, key=lambda one: one.last):
            left = {name for run in runs if run not in leaving for name in _names(run)}
            if sum(found[name].size for name in left if name in found) <= most:
                break
            leaving += [one] if one not in leaving else []
    return leaving


def _export(given: argparse.Namespace) -> int:
    store = _store(given)
    chosen = _chosen(list(manifests.everything(store)), given.model, given.protocol)
    count = archive.export(store, chosen, given.archive)
    Lines().say(f"{given.archive}: {count} entries of {len(chosen)} runs")
    return 0


def _import(given: argparse.Namespace) -> int:
    store, console = _store(given), Lines()
    taken, had, refused = archive.take(store, given.archive)
    for said in refused:
        console.say(f"refused {said}")
    console.say(f"{taken} entries taken, {had} were there already, {len(refused)} refused")
    return int(bool(refused))


def _chosen(runs: list[Manifest], model: str, protocol: str | None) -> list[Manifest]:
    """The runs of a model; `InputError` when there are none."""
    found = [
        one
        for one in runs
        if (one.model == model or (len(model) >= 8 and one.fingerprint.startswith(model)))
        and (protocol is None or protocol in re.findall(r"[^\s()]+", one.protocol))
    ]
    if not found:
        known = sorted({one.model for one in runs})
        raise InputError(
            f"--model {model}: the store has no finished run of it"
            f"{f' by the protocol {protocol}' if protocol else ''}; it has runs of"
            f" {', '.join(known) or 'nothing'}."
        )
    return found


def _names(one: Manifest) -> frozenset[Name]:
    """The entries of a run, with its manifest and the records of its folders."""
    records = {(kind, key, ".json") for kind, key, suffix in one.entries if not suffix}
    return one.entries | records | {(manifests.KIND, one.key, ".json")}


def _leftovers(store: Store) -> dict[str, list[Path]]:
    return {"damaged": contents.aside(store), "of earlier versions": contents.earlier(store)}


def _store(given: argparse.Namespace) -> Store:
    folder = places.store(Path.cwd(), given.store, "--store")
    if not folder.is_dir():
        raise InputError(f"There is no store {folder}; pass another with --store.")
    return Store(folder, "command")


def _spelt(entries: Iterable[Entry]) -> str:
    return _size(sum(entry.size for entry in entries))


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _bytes(spelt: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", spelt.strip())
    if match is None:
        raise InputError(f"--keep {spelt}: expected a size such as 500M or 50G.")
    return int(float(match[1]) * _UNITS[match[2]])
