"""Configs for fingerprints: without entries that change nothing.

The libraries write a class's defaults into the configs that they save, more of them with each
version. `config_defaults.json` holds the defaults; run
`python -m spqr_tests.checkpoint.formats.configs` to add those of the installed libraries to it,
and with names of classes to print theirs, for the backbone of a package.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from spqr_tests.checkpoint.formats import language_models, libraries

_TABLE = "config_defaults.json"
_VERSIONS = frozenset(
    {"architectures", "auto_map", "dtype", "model_type", "torch_dtype", "transformers_version"}
)
# Settings of other heads, of training from scratch and of text generation: encoding ignores them.
_CLIP = frozenset({"bos_token_id", "initializer_factor", "initializer_range", "pad_token_id"})
_WITHOUT_EFFECT = {
    "CLIPTextModel": _CLIP | {"projection_dim"},
    "CLIPTextModelWithProjection": _CLIP,
    "T5EncoderModel": frozenset(
        {
            "bos_token_id",
            "classifier_dropout",
            "decoder_start_token_id",
            "eos_token_id",
            "initializer_factor",
            "is_decoder",
            "is_encoder_decoder",
            "n_positions",
            "num_decoder_layers",
            "output_past",
            "pad_token_id",
            "scale_decoder_outputs",
            "task_specific_params",
            "tie_word_embeddings",
            "use_cache",
        }
    ),
}


_WITHOUT_EFFECT["UMT5EncoderModel"] = _WITHOUT_EFFECT["T5EncoderModel"]


# The schedulers whose defaults decide which unknown keys are left out. Fingerprints of published
# checkpoints depend on this list, so a scheduler that is added later stays out of it.
_SHARED = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)


Defaults = Mapping[str, Mapping[str, Any]]
"""Defaults by class and key."""


def canonical(
    model_class: str, config: Mapping[str, Any], more: Defaults | None = None
) -> dict[str, Any]:
    """A config without versions, dtypes, paths and defaults; `more` are a package's.

    It is the same for a model whichever version of the libraries saved it. Keys that the class does
    not know are kept, because a scheduler may pass them on to the sampler of a protocol. Such a key
    is left out only if it has the default of all schedulers in `_SHARED` that know it.
    """
    config = _worded(model_class, config)
    defaults = _defaults(model_class, config, more or {})
    ignored = _VERSIONS | _WITHOUT_EFFECT.get(model_class, frozenset())
    kept = {
        key: _plain(value)
        for key, value in config.items()
        if not key.startswith("_") and key not in ignored
    }
    return {
        key: value
        for key, value in kept.items()
        if not (key in defaults and _same(defaults[key], value))
    }


def whole(
    model_class: str, config: Mapping[str, Any], more: Defaults | None = None
) -> dict[str, Any]:
    """A config with the defaults of its class where it leaves something out."""
    return _known(model_class, more or {}) | _worded(model_class, config)


def _worded(model_class: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A config in the words of current libraries."""
    if language_models.is_one(model_class):
        return language_models.plain(model_class, config)
    return dict(config)


def _known(model_class: str, more: Defaults) -> dict[str, Any]:
    """The defaults of a class: the suite's table knows better than a package's."""
    table = _table()
    return dict(table[model_class] if model_class in table else more.get(model_class, {}))


def _defaults(model_class: str, config: Mapping[str, Any], more: Defaults) -> dict[str, Any]:
    table = _table()
    known = _known(model_class, more)
    if model_class.endswith("Scheduler"):
        others = [table[name] for name in _SHARED]
        for key in config.keys() - known.keys():
            values = [defaults[key] for defaults in others if key in defaults]
            if values and all(_same(value, values[0]) for value in values):
                known[key] = values[0]
    if model_class in {"T5EncoderModel", "UMT5EncoderModel"}:
        gated, _, act = str(
            config.get("feed_forward_proj", known.get("feed_forward_proj"))
        ).rpartition("-")
        known |= {
            "is_gated_act": gated == "gated",
            "dense_act_fn": "gelu_new" if (gated, act) == ("gated", "gelu") else act,
        }
    return known


def _plain(value: Any) -> Any:
    """The value as JSON would return it, with one form for each number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not isinstance(value, bool):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    return value


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON; in Python, True equals 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@cache
def _table() -> dict[str, dict[str, Any]]:
    """Defaults by class and key."""
    text = resources.files(__package__).joinpath(_TABLE).read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table


def installed(model_class: str) -> dict[str, Any]:
    """The defaults of a class in the installed diffusers or transformers."""
    import inspect

    kind = libraries.find(model_class)
    if getattr(kind, "config_class", None) is not None:
        found = _worded(model_class, kind.config_class().to_dict())
    else:
        parameters = inspect.signature(kind.__init__).parameters.values()
        found = {
            one.name: one.default
            for one in parameters
            if one.default is not inspect.Parameter.empty
        }
    return {
        key: _plain(value)
        for key, value in found.items()
        if not key.startswith("_") and key not in _VERSIONS
    }


def main(asked: Sequence[str] = ()) -> None:
    """Update the table with the defaults of the installed libraries, or print those of `asked`.

    Defaults that these libraries do not know are kept.
    """
    if asked:
        print(json.dumps({name: installed(name) for name in asked}, indent=1, sort_keys=True))  # noqa: T201
        return
    from spqr_tests.checkpoint.backbones import BACKBONES

    classes = {
        name
        for backbone in BACKBONES
        for _, allowed in backbone.models.values()
        for name in allowed
    }
    for backbone in BACKBONES:
        classes |= {*backbone.schedulers, *backbone.samplers.values()}
    path = Path(str(resources.files(__package__).joinpath(_TABLE)))
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    table = {name: known.get(name, {}) | installed(name) for name in sorted(classes)}
    path.write_text(
        json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
