"""Detects a single file's published architecture by the names and shapes of its tensors."""

import re
from collections.abc import Iterator, Mapping, Sequence

from spqr_tests import quotes
from spqr_tests.checkpoint.backbones import flux
from spqr_tests.checkpoint.backbones.backbone import UNET_INPUTS, Backbone
from spqr_tests.checkpoint.formats import families, kinds
from spqr_tests.checkpoint.formats.layouts.table import Original, Preset
from spqr_tests.checkpoint.formats.tensor import StoredTensor
from spqr_tests.errors import InputError

Tensors = Mapping[str, StoredTensor]

_PREFIX = r"(?:model\.diffusion_model\.)?"
_ADAPTER = (
    r".*(?:lora_(?:up|down|mid|[AB])\b|_lora\.|\.lora\.|hada_w|lokr_w|dora_scale|oft_blocks"
    r"|\.diff(?:_b)?$).*"
)
_OTHERS = (
    (r"noise_augmentor\..*", "an unCLIP model, which starts from a picture"),
    (rf"{_PREFIX}.*\.(?:motion_modules|time_stack|time_mixer)\..*", "a video model"),
    (
        (
            rf"{_PREFIX}(?:patchify_proj\..*|txt_in\.individual_token_refiner\..*|head\.modulation"
            r"|t5_yproj\..*|vace_blocks\..*)"
        ),
        "a video model",
    ),
    (
        r"conditioner\.embedders\.0\.model\..*",
        "the refiner of Stable Diffusion XL, which starts from a picture",
    ),
)
_PACKED = (
    (r".*scaled_fp8|.*\.(?:scale_weight|scale_input|weight_scale)", "scaled 8-bit numbers"),
    (r".*\.(?:absmax|quant_map|quant_state\..*|weight_format)", "numbers packed by bitsandbytes"),
)
# By the denoiser's first tensor and its input channels.
_INPUTS = {
    "input_blocks.0.0.weight": UNET_INPUTS,
    "img_in.weight": flux.BACKBONE.inputs,
}


def candidates(
    target: str, tensors: Tensors, backbones: Sequence[Backbone]
) -> list[tuple[Backbone, Original, Preset]]:
    """The presets that a file may be: at least one, and more when its tensors do not decide.

    `InputError` for adapters, for models that do not generate from text alone, and for unknown
    architectures.
    """
    _require_model(target, tensors)
    known = {name for _, original, _ in presets(backbones) for name in original.stated}
    found = [
        (backbone, original, preset)
        for backbone, original, preset in presets(backbones)
        if all(
            _shape(tensors, backbone, original, name) == shape
            for name, shape in preset.signs.items()
        )
        and original.stated.keys() == known & tensors.keys()
    ]
    if not found:
        names = ", ".join(preset.name for _, _, preset in presets(backbones))
        first = next(iter(tensors), None)
        raise InputError(
            f"--model {target}: its tensors ({quotes.named(first)} first) are not those of a"
            " published"
            f" checkpoint ({names}). If it is a part of a pipeline, pass the pipeline as --model"
            " and this file as --spqr-overlay. If it is another architecture in one of these"
            " layouts, pass a folder with its configs and tokenizers as --spqr-config."
        )
    return found


def presets(backbones: Sequence[Backbone]) -> Iterator[tuple[Backbone, Original, Preset]]:
    """Every preset, with its backbone and its original layout."""
    for backbone in backbones:
        if backbone.original is not None:
            for preset in backbone.original.presets:
                yield backbone, backbone.original, preset


def _require_model(target: str, tensors: Tensors) -> None:
    if adapter := _first(_ADAPTER, tensors):
        raise InputError(
            f"--model {target}: it is an adapter (it holds {quotes.named(adapter)}); pass its"
            " base as --model"
            " and this file as --spqr-overlay."
        )
    _require_text_to_image(target, tensors)
    for pattern, what in _PACKED:
        if found := _first(pattern, tensors):
            raise InputError(
                f"--model {target}: its weights are {what} (it holds {quotes.named(found)}),"
                " which are not"
                " read; pass them in 16 or 32 bits."
            )
    for name, uses in _INPUTS.items():
        for stored in tensors.values():
            if re.fullmatch(_PREFIX + re.escape(name), stored.name) and (
                kind := uses.get((*stored.shape, 0, 0)[1])
            ):
                raise InputError(
                    f"--model {target}: it is {kind} ({quotes.named(stored.name)} has"
                    f" {stored.shape[1]} input"
                    " channels), which is not measured; pass a text-to-image checkpoint."
                )


def _require_text_to_image(target: str, tensors: Tensors) -> None:
    """`InputError` for kinds of files, and families of models, that are not measured."""
    named = kinds.other(tensors)
    if named is None:
        named = next(
            ((what, name) for pattern, what in _OTHERS if (name := _first(pattern, tensors))), None
        )
    if named is None and (kinds.names_inversion(tensors) or kinds.inversion_widths(tensors)):
        named = "a textual inversion", kinds.names_inversion(tensors) or next(iter(tensors))
    if named is not None:
        what, found = named
        raise InputError(
            f"--model {target}: it is {what} (it holds {quotes.named(found)}), which is not"
            " measured; pass"
            " a text-to-image checkpoint."
        )
    if family := families.of_tensors(tensors):
        name, found = family
        raise InputError(
            f"--model {target}: it is {name} (it holds {quotes.named(found)}),"
            f" {families.of_file(name)}."
        )
    if kinds.is_autoencoder(tensors):
        raise InputError(
            f"--model {target}: it is an autoencoder (VAE) alone (it holds"
            f" {quotes.named(next(iter(tensors)))}); pass the pipeline that it belongs to as"
            " --model, and this"
            " file as --spqr-overlay."
        )


def _first(pattern: str, tensors: Tensors) -> str | None:
    matches = re.compile(pattern).fullmatch
    return next((name for name in tensors if matches(name)), None)


def _shape(
    tensors: Tensors, backbone: Backbone, original: Original, name: str
) -> tuple[int, ...] | None:
    for table in original.tables:
        if table.component == backbone.denoiser:
            for prefix in table.prefixes:
                if stored := tensors.get(prefix + name):
                    return stored.shape
    return None
