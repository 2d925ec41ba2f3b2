"""Backbones of installed packages, each registered under the pipeline class that it reads.

They come after the suite's own, and are loaded only for a checkpoint whose pipeline none of those
reads.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from spqr_tests import files, packages, quotes
from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.backbones.backbone import Backbone, Defaults
from spqr_tests.packages import Registered
from spqr_tests.store import links

BACKBONES_GROUP = "spqr_tests.backbones"
"""The entry-point group under which packages register backbones."""
_WHAT = "the backbone of the pipeline"
_OWN = frozenset(name for one in BACKBONES for name in one.pipelines)
_STATED: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "a text"),
    "pipelines": (AbstractSet, "a set of pipeline classes"),
    "denoiser": (str, "a component's name"),
    "models": (Mapping, "a mapping"),
    "tokenizers": (Mapping, "a mapping"),
    "schedulers": (AbstractSet, "a set of scheduler classes"),
    "samplers": (Mapping, "a mapping"),
    "cross_attention": (tuple, "a tuple of parts of names"),
    "defaults": (Defaults, "Defaults(steps, guidance)"),
}
"""What every backbone states, its type, and that type in words."""


def of_folder(folder: Path, root: Path | None = None) -> tuple[Backbone, ...]:
    """The backbones that may read the pipeline in a folder: the suite's, else a package's too.

    Of the folder only the class in its index is read, and with `root` nothing from outside of it.
    `InputError` names a package whose backbone is needed and cannot be used, and one that claims a
    pipeline of the suite's own.
    """
    registered = packages.found(BACKBONES_GROUP, _WHAT)
    packages.require_free(registered, _OWN)
    index = folder / "model_index.json"
    there = index.is_file() if root is None else links.present(index, root)
    if not registered or not there:
        return BACKBONES
    named = files.json_object(index).get("_class_name")
    if not isinstance(named, str) or named in _OWN:
        return BACKBONES
    one = packages.only(registered, named)
    return BACKBONES if one is None else (*BACKBONES, loaded(one))


def loaded(registered: Registered) -> Backbone:
    """A package's backbone, which knows from here on whose it is; `InputError` for another thing.

    Everything that every backbone states must be there.
    """
    backbone = registered.load()
    if not isinstance(backbone, Backbone):
        hint = f"the class {backbone.__name__}" if isinstance(backbone, type) else _kind(backbone)
        raise registered.refusal(
            f"which is {hint}; expected an instance of a subclass of Backbone"
            f" ({Backbone.__module__})."
        )
    for key, (kind, words) in _STATED.items():
        value = getattr(backbone, key, None)
        if value is None:
            raise registered.refusal(f"which does not state {key}; expected {words}.")
        if not isinstance(value, kind):
            raise registered.refusal(f"whose {key} is {_kind(value)}; expected {words}.")
    if registered.name not in backbone.pipelines:
        read = ", ".join(sorted(map(str, backbone.pipelines))) or "no pipeline"
        raise registered.refusal(f"which reads {read}; register it under the class that it reads.")
    if taken := sorted(_OWN & set(backbone.pipelines)):
        raise registered.refusal(
            f"which also claims {taken[0]}, and the suite reads that itself; leave it out."
        )
    if not backbone.name.strip() or backbone.name in {one.name for one in BACKBONES}:
        raise registered.refusal(
            f"whose name is {quotes.shown(backbone.name)}; expected one that no family of the"
            " suite's own has."
        )
    if backbone.denoiser not in backbone.models:
        raise registered.refusal(
            f"whose denoiser {quotes.shown(backbone.denoiser)} is not among its models."
        )
    if backbone.original is not None:
        raise registered.refusal(
            "which states original: single files are read of the suite's own families only; leave"
            " it None."
        )
    backbone.package = registered.package
    return backbone


def _kind(value: object) -> str:
    return f"of the type {type(value).__name__}"
