"""The checkpoint under test: a diffusers folder, perhaps with an overlay on its denoiser.

Describing and fingerprinting one needs no torch; `pipeline` loads it, strictly.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from spqr_tests.evidence import digest, safetensors_file
from spqr_tests.evidence.errors import EvidenceError, InputError

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

# What a pipeline folder may name. Anything else is refused before it is resolved: diffusers resolves first.
_CLASSES = {
    "unet": ("diffusers", {"UNet2DConditionModel"}),
    "vae": ("diffusers", {"AutoencoderKL"}),
    "text_encoder": ("transformers", {"CLIPTextModel"}),
    "tokenizer": ("transformers", {"CLIPTokenizer", "CLIPTokenizerFast"}),
    "scheduler": (
        "diffusers",
        {
            "DDIMScheduler",
            "DDPMScheduler",
            "DPMSolverMultistepScheduler",
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "LMSDiscreteScheduler",
            "PNDMScheduler",
            "UniPCMultistepScheduler",
        },
    ),
}
_MODELS = ("unet", "vae", "text_encoder")
# Loaded, these would change pictures after the fact; the suite judges what the model paints.
_LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
_WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
# Beside these, the libraries load other weights than the ones that are fingerprinted.
_DIVERTING = ("*.index.json", "adapter_config.json")


@dataclass(frozen=True)
class Checkpoint:
    """A model under test: `target` as the user named it, its pipeline `folder`, and an `overlay` of denoiser tensors."""

    target: str
    folder: Path
    overlay: Path | None = None

    def __post_init__(self) -> None:
        _check_index(self.target, self.folder)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the configs and of every tensor that is in force; names of files and folders do not matter."""
        content: dict[str, Any] = {}
        for name in sorted(_CLASSES):
            folder = self.folder / name
            if name in _MODELS:
                tensors = dict(safetensors_file.digests(_weights(folder)))
                if name == "unet" and self.overlay is not None:
                    tensors |= self._overlaid(self.overlay, tensors)
                # transformers 5.6 drops this prefix when it saves; the weights are the same.
                tensors = {key.removeprefix("text_model."): value for key, value in tensors.items()}
                content[name] = [_config(folder / "config.json"), tensors]
            elif name == "scheduler":
                # The class is stated in the index alone, and decides what the config means.
                content[name] = [_json(self.folder / "model_index.json")[name][1], _config(folder / "scheduler_config.json")]
            else:
                content[name] = {path.name: _tokenizer_file(path) for path in folder.iterdir() if path.is_file()}
        return digest.of_json(content)

    @cached_property
    def resolution(self) -> int:
        """Pixels a side that the checkpoint was made for: its latents' size times the autoencoder's downsampling."""
        latents = _json(self.folder / "unet" / "config.json").get("sample_size")
        blocks = _json(self.folder / "vae" / "config.json").get("block_out_channels")
        if not isinstance(latents, int) or not isinstance(blocks, list):
            raise InputError(f"--model {self.target}: the configs of its unet and vae do not say which size it paints.")
        return int(latents * 2 ** (len(blocks) - 1))

    def _overlaid(self, overlay: Path, base: dict[str, str]) -> dict[str, str]:
        tensors = dict(safetensors_file.digests(overlay))
        strange = sorted(set(tensors) - set(base))
        if strange or not tensors:
            named = f"{len(strange)} tensors that the base lacks, {strange[0]!r} first" if strange else "no tensor at all"
            raise InputError(f"The overlay {overlay} does not fit its base {self.folder}: it holds {named}.")
        return tensors

    def pipeline(self, device: str, dtype: str) -> "StableDiffusionPipeline":
        """Load the pipeline for inference; every weight must come from the files, fit and be finite.

        Raises `InputError` for weights that are missing, left over, of another shape, or not finite.
        """
        import torch
        from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
        from diffusers.utils import logging as diffusers_logging
        from safetensors.torch import load_file
        from transformers import CLIPTextModel
        from transformers.utils import logging as transformers_logging

        # What their loading reports say is checked below, and said once.
        diffusers_logging.set_verbosity_error()
        diffusers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        torch_dtype: torch.dtype = getattr(torch, dtype)
        classes = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
        models = {name: _load(classes[name], self.folder / name, torch_dtype) for name in _MODELS}
        if self.overlay is not None:
            self.fingerprint  # noqa: B018  refuses an overlay that does not fit
            try:
                tensors = {key: value.to(torch_dtype) for key, value in load_file(self.overlay).items()}
                models["unet"].load_state_dict(tensors, strict=False)
            except (RuntimeError, SafetensorError) as error:
                reason = str(error).splitlines()[-1].strip()
                raise InputError(f"The overlay {self.overlay} does not fit its base: {reason}") from error
            _check_finite(models["unet"], self.overlay)
        try:
            pipe = StableDiffusionPipeline.from_pretrained(
                self.folder,
                **models,
                **dict.fromkeys(_LEFT_OUT),
                requires_safety_checker=False,
                use_safetensors=True,
                local_files_only=True,
            )
        except Exception as error:  # the tokenizer's library raises anything
            raise InputError(f"{self.folder} cannot be loaded: {_first_line(error)}") from error
        pipe.set_progress_bar_config(disable=True)
        return pipe.to(device)


def _check_index(target: str, folder: Path) -> None:
    index = folder / "model_index.json"
    if not folder.is_dir():
        raise InputError(f"--model {target}: there is no folder {folder}. Pass a diffusers pipeline folder or embedded:NAME.")
    if not index.is_file():
        raise InputError(
            f"--model {target}: {folder} is no checkpoint: it has no model_index.json. Pass the folder that "
            "diffusers' save_pretrained wrote, or embedded:NAME."
        )
    table = _json(index)
    if table.get("_class_name") != "StableDiffusionPipeline":
        raise InputError(
            f"--model {target}: {index} names the pipeline {table.get('_class_name')!r}; known is StableDiffusionPipeline."
        )
    for name, entry in table.items():
        if name.startswith("_") or name in {*_LEFT_OUT, "requires_safety_checker"}:
            continue
        library, known = _CLASSES.get(name, ("", set()))
        if not (isinstance(entry, list) and len(entry) == 2 and entry[0] == library and entry[1] in list(known)):
            raise InputError(
                f"--model {target}: {index} names {name} = {entry!r}, which is not among the classes that are loaded."
            )
    for name in _CLASSES:
        if name not in table or not (folder / name).is_dir():
            raise InputError(f"--model {target}: {folder} has no {name}; a StableDiffusionPipeline folder needs one.")
    _check_files(folder)


def _check_files(folder: Path) -> None:
    for name in _MODELS:
        _weights(folder / name)
        _json(folder / name / "config.json")
    for path in (folder / "scheduler" / "scheduler_config.json", *(folder / "tokenizer").glob("*.json")):
        _json(path)


def _weights(folder: Path) -> Path:
    path = folder / _WEIGHTS[folder.name]
    if not path.is_file():
        raise InputError(f"{folder} holds no safetensors weights; expected is {path.name}.")
    for pattern in _DIVERTING:
        for other in folder.glob(pattern):
            raise InputError(
                f"{folder} holds {other.name}, which makes libraries load another file than {path.name}; remove one."
            )
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON that can be read.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.")
    return value


def _config(path: Path) -> dict[str, Any]:
    """A config without what says where or with which version it was saved."""
    versions = {"transformers_version", "dtype", "torch_dtype"}
    return {key: value for key, value in _json(path).items() if not key.startswith("_") and key not in versions}


def _tokenizer_file(path: Path) -> Any:
    """A tokenizer's file without what each call sets anew and where it was saved."""
    if path.suffix != ".json":
        return digest.of_file(path)
    return {key: value for key, value in _json(path).items() if key not in {"padding", "truncation", "name_or_path"}}


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]


def _load(model_class: Any, folder: Path, dtype: "torch.dtype") -> Any:
    try:
        model, found = model_class.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder} cannot be loaded as {model_class.__name__}: {_first_line(error)}") from error
    # Position ids are counted, not trained: older files hold them, newer ones do not.
    for what, keys in (
        ("lacks", found["missing_keys"]),
        ("holds what the model has no place for:", found["unexpected_keys"]),
        ("has another shape for", found["mismatched_keys"]),
    ):
        amiss = sorted(str(key) for key in keys if "position_ids" not in str(key))
        if amiss:
            raise InputError(f"{folder} {what} {len(amiss)} tensors, {amiss[0]} first; its weights must fit its config.json.")
    _check_finite(model, folder)
    return model.eval().requires_grad_(False)


def _check_finite(model: Any, source: Path) -> None:
    import torch

    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{source}: the weights of {name} are not all finite numbers; the checkpoint is damaged.")


def require_finite(tensor: "torch.Tensor", what: str) -> None:
    """`EvidenceError` when a computed tensor holds NaN or infinity."""
    if not tensor.isfinite().all():
        raise EvidenceError(
            f"{what} holds values that are not finite: the model is broken, and nothing it paints counts as safe."
        )
