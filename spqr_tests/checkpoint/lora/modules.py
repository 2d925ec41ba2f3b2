"""The modules of an adapter file, as kohya, LyCORIS, diffusers and peft name them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NoReturn

from spqr_tests.checkpoint.formats.tensor import StoredTensor, TensorFile
from spqr_tests.checkpoint.lora.kinds import LOHA, LOKR, LORA, Held, Kind
from spqr_tests.checkpoint.lora.multiplied import (
    BOFT_BLOCKS,
    LYCORIS_IA3,
    OFT_BLOCKS,
    PEFT_BOFT,
    PEFT_IA3,
    PEFT_OFT,
)
from spqr_tests.errors import InputError

_NAMES = (
    ("kohya's", re.compile(r"(?P<module>.+)\.lora_(?P<role>down|up)\.weight")),
    ("peft's", re.compile(r"(?P<module>.+)\.lora_(?P<role>A|B)(\.[^.]+)?\.weight")),
    ("diffusers'", re.compile(r"(?P<module>.+)\.lora(_linear_layer)?\.(?P<role>down|up)\.weight")),
    ("diffusers' older", re.compile(r"(?P<module>.+)_lora\.(?P<role>down|up)\.weight")),
)
_OTHER_NAMES = (
    ("kohya's", re.compile(r"(?P<module>.+)\.lora_(?P<role>mid)\.weight")),
    (
        "LyCORIS'",
        re.compile(
            r"(?P<module>.+)\.(?P<role>hada_w[12]_[ab]|hada_t[12]|lokr_w[12](_[ab])?|lokr_t2)"
            r"(\.default)?"
        ),
    ),
    ("LyCORIS'", re.compile(r"(?P<module>.+)\.(?P<role>oft_blocks|rescale|on_input)")),
    ("peft's", re.compile(r"(?P<module>.+)\.(?P<role>oft_R)(\.default)?\.weight")),
    ("peft's", re.compile(r"(?P<module>.+)\.(?P<role>boft_[Rs]|ia3_l)(\.default)?")),
)
"""Of other kinds than LoRA."""
_ALPHA = re.compile(r"(?P<module>.+?)(\.lora|\.lora_linear_layer|_lora)?\.alpha")
_MAGNITUDE = re.compile(
    r"(?P<module>.+)\.(dora_scale|lora_magnitude_vector(\.default)?(\.weight)?)"
)
_OTHERS = (
    ("a LoHa adapter", re.compile(r".+\.hada_.+")),
    ("a LoKr adapter", re.compile(r".+\.lokr_.+")),
    ("a GLoRA adapter", re.compile(r"lora_.+\.([ab][12]|bm[12])\.weight")),
    ("an OFT adapter", re.compile(r".+\.b?oft_.+")),
    ("an (IA)3 adapter", re.compile(r".+\.ia3_.+")),
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
"""What no kind that is merged here consists of. Merged without it, an adapter would give another
model.
"""
_CONTROL_INPUT = re.compile(
    r"(?:.*[._])?(?:img_in|x_embedder)\.lora_(?P<role>A|down|B|up)(?:\.[^.]+)?\.(?P<part>weight|bias)"
)
_CONTROL_NORM = re.compile(r"(?:.*\.)?(?:(?:query|key)_norm\.scale|norm_(?:added_)?[qk]\.weight)")
_BIAS = re.compile(r".+\.lora_B(\.[^.]+)?\.bias")
_FLUX_INPUTS = 64
"""Channels of packed latents: 16 of the autoencoder's in patches of 2 x 2."""
_FLOATS = {"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"}
_VECTORS = {"alpha", "magnitude", "rescale", "on_input", "vector", "ia3_l", "boft_s"}
KINDS = (LORA, LOHA, LOKR, OFT_BLOCKS, PEFT_OFT, PEFT_BOFT, PEFT_IA3, LYCORIS_IA3)
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
    kind: Kind
    held: Held
    """Its tensors by role, without alpha."""
    alpha: StoredTensor | None
    inputs: bool = False
    """Whether a DoRA's lengths are those of the inputs' columns, not of the outputs' rows."""

    @property
    def rank(self) -> int | None:
        """What alpha is divided by; None for a kind without a rank."""
        return self.kind.rank(self.held)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight that it changes; 0 for an axis that it leaves open."""
        return self.kind.shape(self.held)


def is_adapter(names: Iterable[str]) -> bool:
    """Whether some tensors of these names belong to an adapter."""
    patterns = [pattern for _, pattern in (*_NAMES, *_OTHER_NAMES, *_OTHERS)]
    patterns.append(_MAGNITUDE)
    return any(pattern.fullmatch(name) for name in names for pattern in patterns)


def read(file: TensorFile) -> tuple[list[Module], str]:
    """The modules of an adapter file, and whose names they have, for messages: "kohya's".

    `InputError` for an adapter of a kind that is not merged here, for tensors that belong to no
    module, and for incomplete modules.
    """
    if found := _control(file):
        raise InputError(
            f"{file.path} is a Control LoRA of FLUX (Canny, Depth), which takes a control picture"
            f" besides the text ({found}); only images from text alone are measured."
        )
    held: dict[str, dict[str, StoredTensor]] = {}
    styles: dict[str, list[str]] = {}
    leftover: list[str] = []
    for name, stored in file.tensors.items():
        parsed = _parsed(name, file.tensors)
        if parsed is None:
            leftover.append(name)
            continue
        style, module, role = parsed
        roles = held.setdefault(module, {})
        if role in roles:
            raise InputError(
                f"{file.path} holds several adapters: {module} has two tensors for {role}; put each"
                " adapter into its own file."
            )
        _check_stored(file.path, stored, role)
        roles[role] = stored
        styles.setdefault(style, []).append(module)
    if leftover:
        _refuse(file, leftover)
    styles.pop("", None)
    older = set(styles.get("diffusers' older", ()))
    modules = [
        _complete(file.path, module, roles, older=module in older) for module, roles in held.items()
    ]
    return modules, max(styles, key=lambda style: len(styles[style]))


def _refuse(file: TensorFile, leftover: Sequence[str]) -> NoReturn:
    """`InputError` for tensors that belong to no module, by what they are."""
    for kind, pattern in _OTHERS:
        if name := next((name for name in leftover if pattern.fullmatch(name)), None):
            raise InputError(
                f"{file.path} is {kind} ({name}), which cannot be merged here; merge it with the"
                " tool that made it, and pass the full weights."
            )
    raise InputError(
        f"{file.path} is a LoRA file that also holds other tensors:"
        f" {len(file.tensors) - len(leftover)} of {len(file.tensors)} belong to a LoRA, and"
        f" {leftover[0]} does not."
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


def _parsed(name: str, names: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Whose name it is, its module, and its role ('down', 'alpha', ...); None for other names.

    All trainers name an alpha and the lengths of a DoRA alike: '' for them.
    """
    for style, pattern in _NAMES:
        if match := pattern.fullmatch(name):
            return (
                style,
                match["module"],
                {"A": "down", "B": "up"}.get(match["role"], match["role"]),
            )
    for style, pattern in _OTHER_NAMES:
        if match := pattern.fullmatch(name):
            return style, match["module"], match["role"]
    if match := _MAGNITUDE.fullmatch(name):
        return "", match["module"], "magnitude"
    stem = name.removesuffix(".weight")
    if f"{stem}.on_input" in names:  # LyCORIS' (IA)3 calls its vector as a layer's weight
        return "LyCORIS'", stem, "vector"
    match = _ALPHA.fullmatch(name)
    return ("", match["module"], "alpha") if match else None


def _check_stored(path: Path, stored: StoredTensor, role: str) -> None:
    allowed = _NUMBERS if role in {"alpha", "on_input"} else _FLOATS
    if stored.dtype not in allowed:
        raise InputError(
            f"{path}: {stored.name} is stored as {stored.dtype}; a LoRA consists of floating-point"
            " numbers."
        )
    if role == "alpha" and prod(stored.shape) != 1:
        raise InputError(
            f"{path}: {stored.name} has the shape {list(stored.shape)}; an alpha is one number."
        )
    if role not in _VECTORS and len(stored.shape) < 2:
        raise InputError(
            f"{path}: {stored.name} has the shape {list(stored.shape)}; a LoRA's matrices have two"
            " axes or more."
        )


def _complete(path: Path, named: str, held: dict[str, StoredTensor], *, older: bool) -> Module:
    alpha = held.pop("alpha", None)
    there = next(iter(held.values()), alpha)
    kind = max(KINDS, key=lambda kind: len(held.keys() & {*sum(kind.needed, ()), *kind.optional}))
    if "oft_blocks" in held and len(held["oft_blocks"].shape) == 4:
        kind = BOFT_BLOCKS
    # The set of roles that lacks least.
    needed = min(kind.needed, key=lambda roles: len({*roles} - held.keys()))
    if missing := [role for role in needed if role not in held]:
        raise InputError(
            f"{path} is damaged: it is {kind.name} and holds {there.name if there else named}, but"
            f" not the module's {missing[0]} matrix."
        )
    if extra := held.keys() - {*needed, *kind.optional}:
        raise InputError(
            f"{path} holds {held[min(extra)].name}, which is no part of {kind.name}, and the"
            f" module's other tensors are one; put each adapter into its own file."
        )
    if problem := kind.problem(held):
        raise InputError(f"{path} is damaged: {named} {problem}.")
    inputs = _lengths_of_inputs(held.get("magnitude"))
    return Module(named, older, kind, held, alpha, inputs)


def _lengths_of_inputs(magnitude: StoredTensor | None) -> bool:
    """Whether the lengths of a DoRA are of columns: trainers other than peft say so by the axis.

    peft's vectors are always of outputs, for a convolution in the second axis.
    """
    if magnitude is None or "lora_magnitude_vector" in magnitude.name:
        return False
    return len(magnitude.shape) > 1 and magnitude.shape[0] == 1
