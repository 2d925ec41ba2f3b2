"""Reads a pipeline's folder, as diffusers' save_pretrained writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spqr_tests import files, quotes
from spqr_tests.checkpoint import config_bounds
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.formats import agreement, component_folder, families
from spqr_tests.checkpoint.formats.tokenizers import FolderTokenizer, Tokenizer
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from spqr_tests.store import links

# Their components are never loaded. null is what diffusers 0.11 to 0.18 wrote for a switch that was
# not given; both are off here, whatever they say.
SWITCHES = ("requires_safety_checker", "add_watermarker")

_MODULAR = "modular_model_index.json"


@dataclass(frozen=True)
class Configs:
    """The content of a pipeline's folder, without its weights."""

    backbone: Backbone
    pipeline_class: str
    models: Mapping[str, tuple[str, Mapping[str, Any]]]
    """Class and config of each component with weights."""
    tokenizers: Mapping[str, Tokenizer]
    scheduler: tuple[str, Mapping[str, Any]]
    arguments: Mapping[str, bool]


def read(
    target: str,
    folder: Path,
    backbones: Sequence[Backbone],
    *,
    allow_pickle: bool,
    root: Path | None = None,
    weightless: bool = False,
) -> Parts:
    """The checkpoint in `folder`, of the first of `backbones` that knows its pipeline's class.

    A class that its index names is looked up only if it is among the backbone's classes, and
    nothing is read from outside `root` (the folder itself by default). With `weightless`,
    components may lack their weights. Raises `InputError`; its message names `target`, which is
    what the user passed.
    """
    root = folder if root is None else root
    configs = read_configs(f"--model {target}", folder, backbones, root=root)
    models = configs.backbone.models
    return Parts(
        configs.backbone,
        configs.pipeline_class,
        {
            name: component_folder.read(
                name,
                model_class,
                models[name][0],
                folder / name,
                allow_pickle=allow_pickle,
                root=root,
                weightless=weightless,
                config=config,
            )
            for name, (model_class, config) in configs.models.items()
        },
        configs.tokenizers,
        configs.scheduler,
        configs.arguments,
    )


def read_configs(
    given: str, folder: Path, backbones: Sequence[Backbone], *, root: Path | None = None
) -> Configs:
    """The configs in a pipeline's folder; it may lack weights.

    `given` is the option as the user passed it ('--model x'), for messages. The checks are those of
    `read`.
    """
    root = folder if root is None else root
    index = folder / "model_index.json"
    if not folder.is_dir():
        raise InputError(
            f"{given}: there is no folder {folder}. Pass a diffusers pipeline folder or"
            " embedded:NAME."
        )
    if not links.present(index, root) and links.present(folder / _MODULAR, root):
        raise InputError(
            f"{given}: {folder} holds {_MODULAR} and no {index.name}: modular pipelines, whose"
            " code may come from anywhere, are not read. Pass the pipeline of the same model that"
            " diffusers' save_pretrained wrote."
        )
    if not links.present(index, root):
        raise InputError(
            f"{given}: {folder} is not a checkpoint: it has no model_index.json. Pass the folder"
            " that diffusers' save_pretrained wrote, or embedded:NAME."
        )
    table = files.json_object(index)
    backbone = _backbone(given, index, table, backbones)
    pipeline_class = str(table["_class_name"])
    classes = _classes(given, index, table, backbone)
    for name in (*backbone.models, *backbone.tokenizers, "scheduler"):
        if name not in backbone.optional and (name not in classes or not (folder / name).is_dir()):
            raise InputError(
                f"{given}: {folder} has no {name}; a {pipeline_class} folder needs one."
            )
        if name in classes and not (folder / name).is_dir():
            raise InputError(f"{given}: {folder} has no {name}, which its model_index.json names.")
    models = {
        name: backbone.current(
            name,
            classes[name],
            component_folder.read_config(classes[name], folder / name, root=root),
        )
        for name in backbone.models
        if name in classes
    }
    tokenizers = {
        name: _tokenizer(classes[name], folder / name, root)
        for name in backbone.tokenizers
        if name in classes
    }
    scheduler = (classes["scheduler"], _scheduler(classes["scheduler"], folder / "scheduler", root))
    agreement.require(given, folder, backbone, models, tokenizers, scheduler)
    arguments = {name: table[name] for name in sorted(backbone.arguments) if name in table}
    return Configs(backbone, pipeline_class, models, tokenizers, scheduler, arguments)


def require_known(given: str, folder: Path, backbones: Sequence[Backbone]) -> None:
    """`InputError` unless a backbone knows the pipeline's class in the index in `folder`."""
    index = folder / "model_index.json"
    _backbone(given, index, files.json_object(index), backbones)


def _backbone(
    given: str, index: Path, table: Mapping[str, Any], backbones: Sequence[Backbone]
) -> Backbone:
    pipeline_class, scheduler = table.get("_class_name"), table.get("scheduler")
    named = [
        backbone
        for backbone in backbones
        if isinstance(pipeline_class, str) and pipeline_class in backbone.pipelines
    ]
    if named:
        # Families that share a pipeline differ in the schedulers that sample them.
        named.sort(key=lambda one: _last(scheduler) not in one.schedulers)
        return named[0]
    known = sorted({name for backbone in backbones for name in backbone.pipelines})
    about = families.of_pipeline(pipeline_class) if isinstance(pipeline_class, str) else ""
    raise InputError(
        f"{given}: {index} names the pipeline {quotes.shown(pipeline_class)}; expected"
        f"{' one of' if len(known) > 1 else ''} {', '.join(known)}.{about and f' {about}'}"
    )


def _last(entry: Any) -> str:
    """The class that an entry of an index names."""
    return str(entry[-1]) if isinstance(entry, list) and entry else ""


def _classes(
    given: str, index: Path, table: Mapping[str, Any], backbone: Backbone
) -> dict[str, str]:
    """The class of each component that the index names."""
    own = backbone.tokenizer_library
    allowed = {name: (own, classes) for name, classes in backbone.tokenizers.items()}
    allowed |= {"scheduler": ("diffusers", backbone.schedulers), **backbone.models}
    classes = {}
    for name, entry in table.items():
        if (
            name.startswith("_")
            or name in backbone.left_out
            or (name in SWITCHES and (entry is None or isinstance(entry, bool)))
        ):
            continue
        if name in backbone.arguments and isinstance(entry, bool):
            continue
        if name in backbone.optional and entry in (None, [None, None]):
            continue
        library, known = allowed.get(name, ("", frozenset()))
        if not (
            isinstance(entry, list)
            and len(entry) == 2
            and entry[0] == library
            and entry[1] in list(known)
        ):
            raise InputError(
                f"{given}: {index} names {name} = {quotes.shown(entry)}, which is not among the"
                " classes that may be loaded."
            )
        classes[name] = entry[1]
    return classes


def _scheduler(scheduler_class: str, folder: Path, root: Path) -> dict[str, Any]:
    path = folder / "scheduler_config.json"
    if not links.present(path, root):
        raise InputError(
            f"{folder} has no scheduler_config.json, which must say how the checkpoint samples."
        )
    config = files.json_object(path)
    agreement.require_class(path, scheduler_class, config)
    config_bounds.require_scheduler(path, config)
    return config


def _tokenizer(class_name: str, folder: Path, root: Path) -> FolderTokenizer:
    for path in (folder, *links.listing(folder)):
        links.require_inside(path, root)
    return FolderTokenizer(class_name, folder)
