"""The checkpoint under test, whatever format and backbone it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from spqr_tests import packages
from spqr_tests.checkpoint import fingerprint, fit, loading, registered_backbones
from spqr_tests.checkpoint.backbones import BACKBONES, profile_check
from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.checkpoint.formats import (
    gguf_file,
    hub,
    overlay,
    pipeline_folder,
    quantised,
    single_file,
)
from spqr_tests.checkpoint.formats.tensor_files import open_file
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.checkpoint.strengths import Given
from spqr_tests.errors import InputError
from spqr_tests.settings.protocol import Protocol
from spqr_tests.settings.sampler import SamplerSettings

_FORMATS = (
    "a diffusers pipeline folder, a single .safetensors file, or a hub id (ORG/NAME,"
    " ORG/NAME@REVISION)"
)
# Next to weights, these files mean that a folder is a part of a pipeline or an adapter.
_PARTIAL = ("config.json", "adapter_config.json", "pytorch_lora_weights.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A model under test: its parts, and `target`, its name as the user gave it."""

    target: str
    parts: Parts
    recognised: tuple[str, ...] = ()
    """Sentences: which format was read, and what each overlay replaced."""
    revision: str | None = None
    """The commit (40 hex digits) of a checkpoint from the hub."""

    @property
    def backbone(self) -> Backbone:
        """The family that the checkpoint belongs to."""
        return self.parts.backbone

    @property
    def weightless(self) -> bool:
        """Whether weights are missing; such a checkpoint is good for planning only."""
        return not all(model.tensors for model in self.parts.models.values())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the configs and of every tensor in use.

        The names of files and folders and the format do not matter.
        """
        return fingerprint.fingerprint(self.parts)

    @property
    def _configs(self) -> dict[str, Mapping[str, Any]]:
        """The components' configs, the scheduler's with its class, and the index's switches."""
        scheduler_class, scheduler = self.parts.scheduler
        return {name: model.config for name, model in self.parts.models.items()} | {
            "scheduler": {**scheduler, "_class_name": scheduler_class},
            "pipeline": self.parts.arguments,
        }

    @cached_property
    def resolution(self) -> int:
        """Height and width in pixels that the checkpoint was made for."""
        try:
            return self.backbone.resolution(self._configs)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"--model {self.target}: the configs of its components do not say which image size"
                " it was made for."
            ) from error

    def settled(self, protocol: Protocol) -> Protocol:
        """The protocol with numbers where its sampler says 'checkpoint'.

        `InputError` when this backbone cannot be measured with these settings.
        """
        resolution = self.resolution
        with packages.blamed(self.backbone.package, f"the configs of {self.target} were read"):
            published = self.backbone.published(self._configs)
            sampler = protocol.sampler.resolved(published.steps, published.guidance, resolution)
            self.backbone.check(sampler, self._configs)
            self.backbone.check_optimizer(protocol.finetuning)
        for name, profile in protocol.profiles.items():
            profile_check.check(self.backbone, name, profile, protocol.finetuning)
            profile_check.check_packed(self.parts.models, self.backbone.denoiser, name, profile)
        return protocol.model_copy(update={"sampler": sampler})

    def sampling(self, sampler: SamplerSettings) -> str:
        """How images are sampled, and what the configs say of it, as a sentence for reports.

        `sampler` are the settled protocol's settings.
        """
        steps, guidance, height, width = sampler.numbers
        said = f"{_steps(steps, guidance)}, {width} x {height} px"
        published = self.backbone.published(self._configs)
        own = f"{_steps(published.steps, published.guidance)}, {self.resolution} px"
        if not published.distilled:
            return (
                f"{said}; assumed not to be distilled, since its configs do not tell: for a"
                " distilled model (Turbo, Lightning, Hyper, LCM), set sampler.steps and"
                " sampler.guidance to its authors' numbers"
            )
        authors = f"its configs are those of {published.distilled}, which its authors sample with"
        if (steps, guidance, height, width) == (
            published.steps,
            published.guidance,
            self.resolution,
            self.resolution,
        ):
            return f"{said}; {authors} these numbers"
        return f"{said}; {authors} {own}: 'checkpoint' in the protocol's sampler takes those"

    def pipeline(self, device: str, dtype: str, known: str | None = None) -> Any:
        """Load the diffusers pipeline for inference, on `device` and in `dtype`.

        Every weight must come from the files, fit the model and be finite, and the whole must be
        the checkpoint with the fingerprint `known`: another process may have taken it, before a
        file was replaced. Raises `InputError`.
        """
        loaded = loading.load(self.parts, device, dtype)
        # Of what was loaded: each tensor has the digest that it was loaded with.
        if known is not None and self.fingerprint != known:
            raise InputError(
                f"--model {self.target}: its files were replaced after the run began, and are not"
                f" the model {known[:12]} that it is known by. Run again."
            )
        return loaded


def read(
    target: str,
    path: Path,
    *,
    overlays: Sequence[Path | Given] = (),
    config: str | None = None,
    allow_pickle: bool = False,
    cached: str | None = None,
    weightless: bool = False,
) -> Checkpoint:
    """The checkpoint at `path`, or on the hub if there is no such path, with `overlays` applied.

    Overlays are applied in their order, at their strengths. `config` is a preset's name or a folder
    of configs, for single files. `cached` is the commit of a hub id that is read from the cache
    alone. Reads names, shapes and configs, not weights, and what they say of each other must agree.
    With `weightless` no weights are downloaded, a folder may lack them, and they are not compared
    with the configs. Raises `InputError`.
    """
    hub_id = None if path.exists() else hub.parse(target)
    revision = None
    if config is not None and not path.is_file():
        raise InputError(
            f"--spqr-config {config}: {target} brings its own configs; the option is only for"
            " single files."
        )
    if hub_id is not None:
        snapshot = hub.snapshot(
            hub_id if cached is None else replace(hub_id, revision=cached),
            offline_only=cached is not None,
            allow_pickle=allow_pickle,
            check_index=lambda folder: pipeline_folder.require_known(
                f"--model {target}", folder, registered_backbones.of_folder(folder)
            ),
            check=lambda folder, root: pipeline_folder.read_configs(
                f"--model {target}",
                folder,
                registered_backbones.of_folder(folder, root),
                root=root,
            ),
            weights=not weightless,
        )
        parts = _pipeline(
            target,
            snapshot.folder,
            snapshot.root,
            allow_pickle=allow_pickle,
            weightless=weightless,
        )
        revision = snapshot.revision
        said = [f"{target} is commit {revision} of the hub's repository: {_files(parts)}"]
    elif path.is_file():
        parts = single_file.read(
            target, open_file(path, allow_pickle=allow_pickle), BACKBONES, config
        )
        said = [
            f"{path.name} is a single file of a {parts.backbone.name} pipeline: {_counts(parts)}"
        ]
    else:
        _require_pipeline_folder(target, path)
        parts = _pipeline(target, path, path, allow_pickle=allow_pickle, weightless=weightless)
        said = [f"{target} is a pipeline folder: {_files(parts)}"]
    said += _number_formats(parts)
    if package := parts.backbone.package:
        said.append(f"{parts.backbone.name} is a backbone of the installed package {package}")
    checkpoint = Checkpoint(target, parts, tuple(said), revision)
    if not weightless:
        fit.require(parts)
    for each in overlays:
        given = each if isinstance(each, Given) else Given(each)
        if checkpoint.weightless:
            raise InputError(f"--spqr-overlay {given.path}: {without_weights(target)}")
        parts, recognised = overlay.apply(
            parts,
            given.path,
            allow_pickle=allow_pickle,
            strength=given.strength,
            mode=given.mode,
        )
        said.append(recognised.sentence)
    return Checkpoint(target, parts, tuple(said), revision)


def _pipeline(
    target: str, folder: Path, root: Path, *, allow_pickle: bool, weightless: bool
) -> Parts:
    """The parts of a pipeline's folder, of the suite's own backbones or of a package's."""
    backbones = registered_backbones.of_folder(folder, root)
    with packages.blamed(backbones[-1].package, f"{target} was read"):
        return pipeline_folder.read(
            target, folder, backbones, allow_pickle=allow_pickle, root=root, weightless=weightless
        )


def _files(parts: Parts) -> str:
    """Which file each component's weights come from: a folder may hold several precisions."""
    return ", ".join(
        f"{name}/{model.source.name}" if model.tensors else f"no weights of the {name}"
        for name, model in parts.models.items()
    )


def _number_formats(parts: Parts) -> list[str]:
    """A sentence for each component whose weights are quantised or stored in 8 bits."""
    said = []
    for name, model in parts.models.items():
        if (packed := model.quantisation) is not None:
            said.append(
                f"its {name} is quantised ({packed.kind}): {len(packed.packed)} of its"
                f" {len(model.shapes)} tensors are loaded by diffusers' own quantiser and"
                " multiplied as they are"
            )
        if unpacked := gguf_file.described(model.tensors.values()):
            said.append(f"its {name} is {unpacked}")
        stored = [tensor.stored.dtype for tensor in model.tensors.values()]
        said += [
            f"its {name} is stored in {quantised.FLOAT8[dtype]} ({stored.count(dtype)} of its"
            f" {len(stored)} tensors): the numbers are the file's, computed with in the sampler's"
            " dtype"
            for dtype in sorted({one for one in stored if one in quantised.FLOAT8})
        ]
    return said


def without_weights(target: str) -> str:
    """The end of a sentence: why nothing can be applied to a checkpoint without weights."""
    return (
        f"the weights of {target} are not here, so nothing can be applied to them; leave it out"
        " of the plan."
    )


def _steps(steps: int, guidance: float) -> str:
    return f"{steps} step{'' if steps == 1 else 's'} at guidance {guidance:g}"


def _counts(parts: Parts) -> str:
    return ", ".join(
        f"{len(model.tensors)} tensors of the {name}" for name, model in parts.models.items()
    )


def _require_pipeline_folder(target: str, folder: Path) -> None:
    if not folder.exists():
        raise InputError(
            f"--model {target}: there is no such file or folder. Pass {_FORMATS}, or embedded:NAME."
        )
    if not (folder / "model_index.json").is_file() and (
        part := next((n for n in _PARTIAL if (folder / n).is_file()), None)
    ):
        raise InputError(
            f"--model {target}: {folder} holds {part} and no model_index.json, so it is a part of a"
            " model. Pass the pipeline that it belongs to as --model, and this folder as"
            " --spqr-overlay."
        )
