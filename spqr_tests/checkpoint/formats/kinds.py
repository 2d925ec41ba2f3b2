"""Kinds of files that are neither checkpoints nor changes of weights: named by what they are.

Names and structure decide, never the width: a file for another base is still of its kind.
"""

import re
from collections.abc import Iterable, Mapping

from spqr_tests.checkpoint.formats import families
from spqr_tests.checkpoint.formats.tensor import StoredTensor

Tensors = Mapping[str, StoredTensor]

_OTHERS = (
    (
        "a ControlNet",
        (
            r"control_model\..*|controlnet_.*|(?:.*\.)?(?:input_hint_block|zero_convs)\..*"
            r"|lora_controlnet|control_(?:all_x_embedder|layers)\..*"
        ),
    ),
    (
        "an IP-Adapter",
        (
            r"(?:image_proj|image_proj_model|ip_adapter|ip_adapter_proj_model|adapter_modules)\..*"
            r"|.*\.(?:to_[kv]_ip|ip_adapter_.*_proj)\..*"
        ),
    ),
    (
        "a T2I-Adapter",
        (
            r"adapter\.(?:body|conv_in)\..*|body\.\d+\.(?:block[12]|in_conv|resnets\.\d+\.block[12])"
            r"\..*"
        ),
    ),
    ("a motion module of AnimateDiff", r"(?:module\.)?.*\bmotion_modules\..*"),
    ("a GLIGEN adapter", r"(?:.*\.)?position_net\..*|.*\.fuser\..*"),
    ("a safety checker", r"(?:concept|special_care)_embeds(?:_weights)?"),
    ("a hypernetwork", r"(?:320|640|768|1024|1280|2048)\.\d+\.linear\..*"),
    (
        "an upscaler of finished images",
        r"RRDB_trunk\..*|body\.\d+\.rdb\d\..*|model\.1\.sub\..*|conv_first\..*",
    ),
    (
        "a set of Custom Diffusion's attention processors",
        r".*custom_diffusion.*",
    ),
)
_VAE = re.compile(
    r"(?:first_stage_model\.|vae\.)?(?:(?:encoder|decoder)\.(?:conv_in|conv_out|norm_out"
    r"|conv_norm_out|mid|mid_block|down|down_blocks|up|up_blocks)|quant_conv|post_quant_conv)\..*"
)
_VISION = re.compile(r"(?:vision_model|visual|visual_projection)\..*")
_INVERSION = re.compile(r"string_to_(?:param|token)\..*|emb_params|clip_[lg]|<.*>|\*")
# A learned token consists of a few vectors.
_MOST_VECTORS = 128
_ENCODERS = {
    768: "CLIP-L, the encoder of Stable Diffusion 1",
    1024: "OpenCLIP-H, the encoder of Stable Diffusion 2",
    1280: "OpenCLIP-bigG, the second encoder of Stable Diffusion XL",
    4096: "T5-XXL, the encoder of FLUX",
}
_BASES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""Widths of the text that a UNet attends to."""
_TEXT_KEYS = re.compile(r".*attn2[._]to_k(?:\.processor)?(?:\.lora)?[._].*")
_NAMED = (
    ("FLUX", re.compile(r"(?:.*[._])?(?:double_blocks|single_transformer_blocks)[._]\d+[._].*")),
    (
        "Qwen-Image",
        re.compile(r"(?:.*[._])?transformer_blocks[._]\d+[._](?:img|txt)_(?:mlp|mod)[._].*"),
    ),
    ("Anima", re.compile(r"(?:.*[._])?blocks[._]\d+[._](?:cross|self)_attn[._][qkvo]\w*_proj\..*")),
    ("Krea 2", re.compile(r"(?:.*[._])?txtfusion[._].*")),
    ("Stable Diffusion 3", re.compile(r"(?:.*[._])?joint_blocks[._]\d+[._].*")),
    ("Playground 2.5", re.compile(r"edm_(?:mean|std)")),
    (
        "Stable Diffusion XL",
        re.compile(r"(?:lora_te2_.*|conditioner\.embedders\.1\..*|(?:.*[._])?label_emb\..*)"),
    ),
)


def other(tensors: Tensors) -> tuple[str, str] | None:
    """The kind of a file that is not weights of a pipeline, and the first name that tells."""
    for kind, pattern in _OTHERS:
        matches = re.compile(pattern).fullmatch
        if found := next((name for name in tensors if matches(name)), None):
            return kind, found
    if tensors and all(_VISION.fullmatch(name) for name in tensors):
        return "an image encoder", next(iter(tensors))
    return None


def is_autoencoder(names: Iterable[str]) -> bool:
    """Whether all tensors of a file are an autoencoder's."""
    names = list(names)
    return bool(names) and all(_VAE.fullmatch(name) for name in names)


def inversion_widths(tensors: Tensors, known: Iterable[int] = ()) -> list[int]:
    """The widths of an embedding of textual inversion, in order; [] for any other file.

    A file that does not have such a file's usual names is one if it holds a few vectors each, of a
    published encoder's width or one of `known`.
    """
    widths = {*known, *_ENCODERS}
    found = set()
    for stored in tensors.values():
        vectors = len(stored.shape) == 1 or (
            len(stored.shape) == 2 and stored.shape[0] <= _MOST_VECTORS
        )
        usual = bool(_INVERSION.fullmatch(stored.name))
        if not vectors or not (usual or ("." not in stored.name and stored.shape[-1] in widths)):
            return []
        found.add(stored.shape[-1])
    return sorted(found)


def names_inversion(tensors: Tensors) -> str:
    """The first tensor with a name that only embeddings have; '' when there is none."""
    return next((name for name in tensors if _INVERSION.fullmatch(name)), "")


def inversion(widths: Iterable[int], base: Iterable[int]) -> str:
    """An embedding of these widths, as the object of a sentence.

    `base` are the widths of the base's text encoders; none when there is no base.
    """
    own, theirs = sorted(set(widths)), sorted(set(base))
    said = "an embedding of textual inversion"
    if not theirs or set(own) <= set(theirs):
        return said
    made = " and ".join(
        f"{width}{f' ({_ENCODERS[width]})' if width in _ENCODERS else ''}" for width in own
    )
    have = " and ".join(map(str, theirs))
    return f"{said} for a text encoder of width {made}, and the base's have {have}"


def family(tensors: Tensors) -> str:
    """The family that weights or an adapter were made for ('Stable Diffusion XL'), or ''."""
    if found := families.of_tensors(tensors):
        return found[0]
    for name, pattern in _NAMED:
        if any(pattern.fullmatch(key) for key in tensors):
            return name
    for key, stored in tensors.items():
        if _TEXT_KEYS.fullmatch(key) and len(stored.shape) == 2 and "up" not in key.split("."):
            return _BASES.get(stored.shape[1], "")
    return ""
