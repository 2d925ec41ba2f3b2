"""The modules of a LoRA file, as kohya, diffusers and peft name them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from spqr_tests.checkpoint.formats.tensor import StoredTensor, TensorFile
from spqr_tests.errors import InputError

_NAMES = (
    ("kohya's", re.compile(r"(?P<module>.+)\.lora_(?P<role>down|up)\.weight")),
    ("peft's", re.compile(r"(?P<module>.+)\.lora_(?P<role>A|B)(\.[^.]+)?\.weight")),
    ("diffusers'", re.compile(r"(?P<module>.+)\.lora(_linear_layer)?\.(?P<role>down|up)\.weight")),
    ("diffusers' older", re.compile(r"(?P<module>.+)_lora\.(?P<role>down|up)\.weight")),
)
_ALPHA = re.compile(r"(?P<module>.+?)(\.lora|\.lora_linear_layer|_lora)?\.alpha")
_OTHERS = (
    ("a DoRA adapter", re.compile(r".+\.(dora_scale|lora_magnitude_vector(\..+)?)")),
    ("a LoHa adapter", re.compile(r".+\.hada_.+")),
    ("a LoKr adapter", re.compile(r".+\.lokr_.+")),
    ("a GLoRA adapter", re.compile(r"lora_.+\.([ab][12]|bm[12])\.weight")),
    ("a LoCon with a Tucker core", re.compile(r".+\.lora_mid\.weight")),
    ("an OFT adapter", re.compile(r".+\.b?oft_.+")),
    ("an IA3 adapter", re.compile(r".+\.(ia3_.+|on_input)")),
    ("a VeRA adapter", re.compile(r".*\bvera_.+")),
    ("a VB-LoRA adapter", re.compile(r".*\bvblora_.+")),
    ("a RandLoRA adapter", re.compile(r".*\brandlora_.+")),
    ("a FourierFT adapter", re.compile(r".+\.fourierft_.+")),
    ("a C3A adapter", re.compile(r".+\.c3a_.+")),
    ("an HRA adapter", re.compile(r".+\.hra_.+")),
    ("an LN tuning adapter", re.compile(r".+\.ln_tuning_.+")),
    ("a LoRA of embeddings", re.compile(r".+\.lora_embedding_[AB](\..+)?")),
    ("a LoRA with biases", re.compile(r".+\.(diff_b|b_norm|lora_(up|B)(\.[^.]+)?\.bias)")),
    ("an adapter with whole differences", re.compile(r".+\.(diff|w_norm)")),
    ("a LoRA in XLabs' names", re.compile(r".+\.processor\.(qkv|proj)_lora\d?\.(down|up)\.weight")),
)
"""Adapters that are not, or not only, up @ down of whole modules. Merged as if they were, they
would give another model.
"""
_CONTROL_INPUT = re.compile(
    r"(?:.*[._])?(?:img_in|x_embedder)\.lora_(?P<role>A|down|B|up)(?:\.[^.]+)?\.(?P<part>weight|bias)"
)
_CONTROL_NORM = re.compile(r"(?:.*\.)?(?:(?:query|key)_norm\.scale|norm_(?:added_)?[qk]\.weight)")
_BIAS = re.compile(r".+\.lora_B(\.[^.]+)?\.bias")
_FLUX_INPUTS = 64
"""Channels of packed latents: 16 of the autoencoder's in patches of 2 x 2."""
_FLOATS = {"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"}
_NUMBERS = {"F16", "BF16", "F32", "F64", "I64", "I32", "I16", "I8", "U8"}


@dataclass(frozen=True)
class Module:
    """The tensors that a file holds for one module."""

    named: str
    """The module's name in the file."""
    older: bool
    """Whether it is named after diffusers' attention processors, which had their own names for the
    parts of an attention.
    """
    down: StoredTensor
    """(rank, ...)."""
    up: StoredTensor
    """(..., rank)."""
    alpha: StoredTensor | None

    @property
    def rank(self) -> int:
        """Columns of `up` and rows of `down`."""
        return self.down.shape[0]


def is_adapter(names: Iterable[str]) -> bool:
    """Whether some tensors of these names belong to an adapter."""
    patterns = [pattern for _, pattern in (*_NAMES, *_OTHERS)]
    return any(pattern.fullmatch(name) for name in names for pattern in patterns)


def read(file: TensorFile) -> tuple[list[Module], str]:
    """The modules of an adapter file, and whose names they have, for messages: "kohya's".

    `InputError` for an adapter that is not a LoRA, for tensors that belong to no module, and for
    incomplete modules.
    """
    _require_lora(file)
    found: dict[str, dict[str, StoredTensor]] = {}
    styles: dict[str, list[str]] = {}
    leftover: list[str] = []
    for name, stored in file.tensors.items():
        parsed = _parsed(name)
        if parsed is None:
            leftover.append(name)
            continue
        style, module, role = parsed
        held = found.setdefault(module, {})
        if role in held:
            raise InputError(
                f"{file.path} holds several adapters: {module} has two tensors for {role}; put each"
                " adapter into its own file."
            )
        _check_stored(file.path, stored, role)
        held[role] = stored
        styles.setdefault(style, []).append(module)
    if leftover:
        raise InputError(
            f"{file.path} is a LoRA file that also holds other tensors:"
            f" {len(file.tensors) - len(leftover)} of {len(file.tensors)} belong to a LoRA, and"
            f" {leftover[0]} does not."
        )
    styles.pop("", None)
    older = set(styles.get("diffusers' older", ()))
    modules = [
        _complete(file.path, module, held, older=module in older) for module, held in found.items()
    ]
    return modules, max(styles, key=lambda style: len(styles[style]))


def _require_lora(file: TensorFile) -> None:
    """`InputError` for an adapter of another kind, or of this kind and another one."""
    if found := _control(file):
        raise InputError(
            f"{file.path} is a Control LoRA of FLUX (Canny, Depth), which takes a control picture"
            f" besides the text ({found}); only images from text alone are measured."
        )
    for kind, pattern in _OTHERS:
        if name := next((name for name in file.tensors if pattern.fullmatch(name)), None):
            raise InputError(
                f"{file.path} is {kind} ({name}), which cannot be merged here; merge it with the"
                " tool that made it, and pass the full weights."
            )


def _control(file: TensorFile) -> str:
    """The name by which a file is a Control LoRA; '' for other files.

    Its first layer takes the picture's latents next to the noisy ones, has a bias of its own, and
    the norms of queries and keys are replaced.
    """
    biased = any(_BIAS.fullmatch(name) for name in file.tensors)
    for name, stored in file.tensors.items():
        if match := _CONTROL_INPUT.fullmatch(name):
            wider = match["role"] in {"A", "down"} and stored.shape[1:2] > (_FLUX_INPUTS,)
            if wider or match["part"] == "bias":
                return name
        elif biased and _CONTROL_NORM.fullmatch(name):
            return name
    return ""


def _parsed(name: str) -> tuple[str, str, str] | None:
    """Whose name it is, its module, and 'down', 'up' or 'alpha'; None for other names.

    All trainers name an alpha the same way: '' for it.
    """
    for style, pattern in _NAMES:
        if match := pattern.fullmatch(name):
            return (
                style,
                match["module"],
                {"A": "down", "B": "up"}.get(match["role"], match["role"]),
            )
    match = _ALPHA.fullmatch(name)
    return ("", match["module"], "alpha") if match else None


def _check_stored(path: Path, stored: StoredTensor, role: str) -> None:
    allowed = _NUMBERS if role == "alpha" else _FLOATS
    if stored.dtype not in allowed:
        raise InputError(
            f"{path}: {stored.name} is stored as {stored.dtype}; a LoRA consists of floating-point"
            " numbers."
        )
    if role == "alpha" and prod(stored.shape) != 1:
        raise InputError(
            f"{path}: {stored.name} has the shape {list(stored.shape)}; an alpha is one number."
        )
    if role != "alpha" and len(stored.shape) < 2:
        raise InputError(
            f"{path}: {stored.name} has the shape {list(stored.shape)}; a LoRA's matrices have two"
            " axes or more."
        )


def _complete(path: Path, named: str, held: dict[str, StoredTensor], *, older: bool) -> Module:
    missing = [role for role in ("down", "up") if role not in held]
    if missing:
        there = next(iter(held.values()))
        raise InputError(
            f"{path} is damaged: it holds {there.name}, but not the module's {missing[0]} matrix."
        )
    return Module(named, older, held["down"], held["up"], held.get("alpha"))
