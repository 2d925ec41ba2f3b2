"""Finds what options and protocols name: packaged, embedded, or the user's own."""

from collections.abc import Sequence
from pathlib import Path

from spqr_tests import files, quotes
from spqr_tests.checkpoint import strengths
from spqr_tests.checkpoint.checkpoint import Checkpoint, read
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from spqr_tests.run.packaged import Packaged
from spqr_tests.run.user_data import DATA, UserData
from spqr_tests.store import digest, folders
from spqr_tests.store.store import Store

EMBEDDED = "embedded:"
_SEED = 20_251_119
_LOCAL = "local-dir:"


def checkpoint(
    packaged: Packaged,
    target: str,
    where: Path,
    *,
    overlays: Sequence[str] = (),
    config: str | None = None,
    allow_pickle: bool = False,
    cached: str | None = None,
    weightless: bool = False,
) -> Checkpoint:
    """The checkpoint that `--model` names, with overlays (PATH, PATH@STRENGTH, PATH@merge) applied.

    `target` is `embedded:NAME`, a path (relative to `where`) or a hub id. `cached` is the commit of
    a hub id that the controller has fetched. With `weightless`, configs are enough. Raises
    `InputError` for a checkpoint that is not there or cannot be used.
    """
    own = [strengths.one(overlay, where, "--spqr-overlay") for overlay in overlays]
    if target.startswith(EMBEDDED):
        name, world = target.removeprefix(EMBEDDED), packaged.world
        if name not in world.checkpoints:
            raise InputError(
                f"--model {target}: there is no embedded checkpoint {quotes.shown(name)}; there are"
                f" {', '.join(world.checkpoints)}."
            )
        aligned = world.overlay(name)
        path, own = world.base, [*([Given(aligned)] if aligned else []), *own]
    else:
        path = files.place(target, where, "--model")
    configs = config
    if config is not None and (own_configs := files.place(config, where, "--spqr-config")).is_dir():
        configs = str(own_configs)
    return read(
        target,
        path,
        overlays=own,
        config=configs,
        allow_pickle=allow_pickle,
        cached=cached,
        weightless=weightless,
    )


def prompts(packaged: Packaged, name: str, own: UserData) -> Path:
    """A prompt set's file: `data:NAME`, one in the protocol's folder, or a packaged one.

    Raises `InputError` when there is none.
    """
    path = own.place(name)
    if path.is_file() or name.startswith(DATA):
        return path
    shipped = packaged.prompts / name
    if shipped.is_file():
        return shipped
    raise InputError(
        f"The protocol names the prompt set {name}, which is neither in {own.folder} nor packaged."
    )


def encoder(packaged: Packaged, name: str, own: UserData) -> str:
    """A dual encoder's name as open_clip reads it.

    `name` is `embedded:judge`, `local-dir:FOLDER`, the folder `data:NAME`, or a published model.
    Raises `InputError` for any other embedded name, and for data that is not there.
    """
    if name == f"{EMBEDDED}judge":
        return f"{_LOCAL}{packaged.world.judge}"
    if name.startswith(EMBEDDED):
        raise InputError(
            f"The protocol names the encoder {name}; the embedded world has one, {EMBEDDED}judge."
        )
    if name.startswith(DATA):
        return f"{_LOCAL}{own.place(name)}"
    if name.startswith(_LOCAL):
        return f"{_LOCAL}{own.folder / name.removeprefix(_LOCAL)}"
    return name


def pictures(
    packaged: Packaged, name: str, n: int | None, own: UserData, store: Store
) -> tuple[Path, dict[str, str] | None]:
    """The path of a picture set: `data:NAME`, one in the protocol's folder, or `embedded:NAME`.

    The first `n` pictures of an embedded set are drawn into the store once; with them comes the
    SHA-256 of each file, by its path in the folder, else None. Raises `InputError` when there is no
    such set, and for an embedded one without `n`.
    """
    if not name.startswith(EMBEDDED):
        return own.place(name), None
    scenario, world = name.removeprefix(EMBEDDED), packaged.world
    if n is None:
        raise InputError(f"The protocol names the pictures {name} without n; say how many to draw.")
    if scenario not in world.pictures:
        known = ", ".join(f"{EMBEDDED}{one}" for one in world.pictures)
        raise InputError(
            f"The protocol names the pictures {name}, which the embedded world lacks; it has"
            f" {known}."
        )
    key = digest.of_json([scenario, n, _SEED, world.revision])
    folder = folders.kept(
        store, "pictures", key, lambda folder: world.draw(scenario, folder, n, _SEED)
    )
    return folder, folders.contents(store, "pictures", key)
