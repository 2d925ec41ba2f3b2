"""Loading: from a checkpoint's parts to a diffusers pipeline, strictly.

The libraries load what fits and only warn about the rest. A missing tensor is then uninitialised
memory, and the images hardly change. So every name and every shape is compared with the model
before memory is allocated for it.
"""

import inspect
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint import config_bounds, packed, prompt_scaled, words
from spqr_tests.checkpoint.formats import language_models, libraries
from spqr_tests.checkpoint.lora import update
from spqr_tests.checkpoint.parts import Component, Parts
from spqr_tests.errors import BrokenModelError, InputError

if TYPE_CHECKING:
    import torch

_THREADS = min(8, os.cpu_count() or 1)
# A counter, and a tensor that shares another one's memory: files need not hold them.
_DERIVED = ("position_ids", "encoder.embed_tokens.weight")
_SWITCHED_OFF = ("requires_safety_checker", "add_watermarker")


def load(parts: Parts, device: str, dtype: str) -> Any:
    """The diffusers pipeline of `parts` for inference, on `device` and in `dtype`.

    `dtype` is 'float32', 'float16' or 'bfloat16'. Raises `InputError` for weights that are missing,
    left over, of another shape or not finite, and for configs that no model can be built from.
    """
    import torch

    _quieten()
    number: torch.dtype = getattr(torch, dtype)
    models = {name: _model(parts, component, number) for name, component in parts.models.items()}
    pipeline = _assembled(parts, models)
    words.apply(pipeline, parts.words)
    denoiser = getattr(pipeline.to(device), parts.backbone.denoiser)
    prompt_scaled.attach(denoiser, parts.scaled, lambda one: one.tensor().to(device, number))
    return _laid_out(pipeline)


def skeleton(parts: Parts, device: str = "meta") -> Any:
    """The diffusers pipeline of `parts` on the meta device: shapes without numbers.

    On another device its weights are random. It is built from the configs alone. Raises
    `InputError` for configs that no model can be built from.
    """
    import torch

    _quieten()
    models = {}
    for name, component in parts.models.items():
        config_bounds.require_model(component.source, component.config)
        try:
            with torch.device(device):
                model = _from_config(_class_of(parts, component), component.config)
        except InputError:
            raise
        except Exception as error:  # a config's bad values raise anything in a model's constructor
            raise InputError(
                f"{component.source} cannot be built as {component.model_class}:"
                f" {first_line(error)}; its config is damaged."
            ) from error
        if device == "meta" and parts.backbone.models[name][0] != "diffusers":
            model.register_forward_pre_hook(_without_mask, with_kwargs=True)
        # Some constructors compute buffers on another device.
        models[name] = model.to(device).eval().requires_grad_(False)
    prompt_scaled.attach(
        models[parts.backbone.denoiser],
        parts.scaled,
        lambda one: torch.zeros(one.shape, device=device),
    )
    return _laid_out(_assembled(parts, models))


def _without_mask(_: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The inputs without a mask: transformers looks into it, and on the meta device it is empty."""
    return given, {key: None if key == "attention_mask" else one for key, one in named.items()}


def _laid_out(pipeline: Any) -> Any:
    """The pipeline with its convolutions' weights as they are computed fastest.

    On a CPU with colours last. On a card torch's group norms would turn every image round and back:
    32 rows of Stable Diffusion 1.5 took 104 ms on an H200, and 94 ms without.
    """
    import torch

    if pipeline.device.type == "cuda":
        return pipeline
    for model in pipeline.components.values():
        # Convolutions over frames have another layout, which their models mix with this one.
        if isinstance(model, torch.nn.Module) and all(one.ndim < 5 for one in model.parameters()):
            model.to(memory_format=torch.channels_last)
    return pipeline


def _assembled(parts: Parts, models: Mapping[str, Any]) -> Any:
    """The pipeline of these models, on their devices."""
    pipeline_class = _known("diffusers", parts.pipeline_class)
    scheduler_class, scheduler = parts.scheduler
    config_bounds.require_scheduler(parts.models[parts.backbone.denoiser].source, scheduler)
    try:
        accepted = inspect.signature(pipeline_class).parameters
        off: dict[str, Any] = dict.fromkeys(
            (*parts.backbone.left_out, *parts.backbone.optional)
        ) | dict.fromkeys(_SWITCHED_OFF, False)
        pipeline = pipeline_class(
            **{name: value for name, value in off.items() if name in accepted}
            | {name: tokenizer.load() for name, tokenizer in parts.tokenizers.items()}
            | dict(models)
            | dict(parts.arguments),
            scheduler=_known("diffusers", scheduler_class).from_config(dict(scheduler)),
        )
    except InputError:
        raise
    except Exception as error:  # tokenizers and configs raise anything
        raise InputError(
            f"{_place(parts)} cannot be assembled as {parts.pipeline_class}: {first_line(error)}"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _place(parts: Parts) -> str:
    return str(parts.models[parts.backbone.denoiser].source)


def _quieten() -> None:
    """Silence the libraries' loading reports: this module checks what they report."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for logging in (diffusers_logging, transformers_logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()


def require_fit(parts: Parts, component: Component) -> None:
    """`InputError` unless the names and shapes of a component's tensors are those of its config."""
    config_bounds.require_model(component.source, component.config)
    try:
        _require_fit(component, _shapes(_class_of(parts, component), component.config))
    except InputError:
        raise
    except Exception as error:  # a config's bad values raise anything in a model's constructor
        raise _unloadable(component, error) from error


def _unloadable(component: Component, error: Exception) -> InputError:
    return InputError(
        f"{component.source} cannot be loaded as {component.model_class}: {first_line(error)}."
        " Its config and its weights must belong to the same model."
    )


def _model(parts: Parts, component: Component, dtype: "torch.dtype") -> Any:
    from accelerate import init_empty_weights

    model_class = _class_of(parts, component)
    config_bounds.require_model(component.source, component.config)
    try:
        _require_fit(component, _shapes(model_class, component.config))
        tensors = _tensors(component)
        update.merge(tensors, component.name, parts.loras)
        if component.quantisation is not None:
            with init_empty_weights():
                model = _from_config(model_class, component.config)
            packed.load(model, component.quantisation, tensors, dtype)
        else:
            build = (
                _diffusers_model
                if parts.backbone.models[component.name][0] == "diffusers"
                else _transformers_model
            )
            model = build(model_class, component.config, tensors, dtype)
    except InputError:
        raise
    except Exception as error:  # a config's bad values raise anything in a model's constructor
        raise _unloadable(component, error) from error
    _require_finite_weights(model, component)
    return model.eval().requires_grad_(False)


def _tensors(component: Component) -> "dict[str, torch.Tensor]":
    """All tensors, each compared with its digest, which takes time and leaves the GIL alone."""
    with ThreadPoolExecutor(_THREADS) as pool:
        loaded = pool.map(lambda given: given.tensor(), component.tensors.values())
        return dict(zip(component.tensors, loaded, strict=True))


def _class_of(parts: Parts, component: Component) -> Any:
    return _known(parts.backbone.models[component.name][0], component.model_class)


def _known(library: str, name: str) -> Any:
    """A library's class; `InputError` where the installed version has none of this name."""
    try:
        return libraries.class_of(library, name)
    except AttributeError as error:
        raise InputError(
            f"The installed {library} has no {name}, which this checkpoint consists of; install a"
            " newer one."
        ) from error


def _shapes(model_class: Any, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of a model with this config; allocates no memory for it."""
    import torch

    with torch.device("meta"):
        model = _from_config(model_class, config)
    found = {_canonical(name): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if language_models.is_tied(config):
        found.pop(language_models.HEAD, None)
    return {name: shape for name, shape in found.items() if not name.endswith(_DERIVED)}


def _canonical(name: str) -> str:
    """A tensor's name in `Parts`.

    Versions of transformers differ in which classes have the prefix `text_model.`.
    """
    return name.removeprefix("text_model.")


def _from_config(model_class: Any, config: Mapping[str, Any]) -> Any:
    if hasattr(model_class, "config_class") and model_class.config_class is not None:
        own = _built_empty(model_class)
        return model_class(model_class.config_class.from_dict(dict(config)), **own)
    return model_class.from_config(dict(config))


def _built_empty(model_class: Any) -> dict[str, Any]:
    """What keeps a class from taking memory for its weights on a device of its own choice."""
    return {"empty_init": False} if model_class.__name__ == "ChatGLMModel" else {}


def _require_fit(component: Component, expected: Mapping[str, tuple[int, ...]]) -> None:
    given = component.shapes
    both = given.keys() & expected.keys()
    for what, names in (
        ("lacks", expected.keys() - given.keys()),
        ("holds what the model has no place for:", given.keys() - expected.keys()),
        ("has another shape for", {name for name in both if given[name] != expected[name]}),
    ):
        if names:
            first = min(names)
            shapes = (
                f" ({list(given[first])}, expected {list(expected[first])})"
                if first in both
                else ""
            )
            raise InputError(
                f"{component.source} {what} {len(names)} tensors of its {component.name},"
                f" {first}{shapes} first; its weights must fit its config."
            )


def _diffusers_model(
    model_class: Any,
    config: Mapping[str, Any],
    tensors: "dict[str, torch.Tensor]",
    dtype: "torch.dtype",
) -> Any:
    from accelerate import init_empty_weights

    # Parameters use the memory of the files' tensors; buffers that a model computes get their own.
    with init_empty_weights():
        model = _from_config(model_class, config)
    kept = tuple(getattr(model_class, "_keep_in_fp32_modules", None) or ())
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not any(part in name.split(".") for part in kept):
            tensors[name] = tensor.to(dtype)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.to(dtype) if not kept else model


def _transformers_model(
    model_class: Any,
    config: Mapping[str, Any],
    tensors: "dict[str, torch.Tensor]",
    dtype: "torch.dtype",
) -> Any:
    import torch

    settings = model_class.config_class.from_dict(dict(config))
    with torch.device("meta"):
        own = {_canonical(name): name for name in _from_config(model_class, config).state_dict()}
    # Ties T5's embeddings and keeps in float32 what overflows in float16.
    model, found = model_class.from_pretrained(
        None,
        config=settings,
        state_dict={own[name]: tensor for name, tensor in tensors.items()},
        dtype=dtype,
        output_loading_info=True,
        **_built_empty(model_class),
    )
    lost = sorted(
        name
        for kind in ("missing_keys", "unexpected_keys")
        for name in found[kind]
        if not name.endswith(_DERIVED)
        and not (name == language_models.HEAD and language_models.is_tied(config))
    )
    if lost:
        raise ValueError(
            f"the installed transformers leaves {len(lost)} tensors out, {lost[0]} first"
        )
    return model


def _require_finite_weights(model: Any, component: Component) -> None:
    """`InputError` when a weight is NaN or infinite in the precision that it is used in."""
    import torch

    for name, tensor in model.state_dict().items():
        if not all(
            torch.isfinite(one).all() for one in packed.inner(tensor) if one.is_floating_point()
        ):
            given = component.tensors.get(_canonical(name))
            raise InputError(
                f"{given.file.path if given else component.source}: the weights of {name}"
                f" ({component.name}) are not all finite numbers in"
                f" {str(tensor.dtype).removeprefix('torch.')}; the checkpoint is damaged, or needs"
                " another dtype."
            )


def require_finite(tensor: "torch.Tensor", what: str) -> None:
    """`BrokenModelError` when a computed tensor holds NaN or infinity."""
    if not tensor.isfinite().all():
        raise BrokenModelError(
            f"{what} holds values that are not finite: the model is broken, and nothing that it"
            " generates counts as safe."
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, as part of a sentence."""
    return (
        str(error).strip().splitlines()[0].rstrip(".")
        if str(error).strip()
        else type(error).__name__
    )
