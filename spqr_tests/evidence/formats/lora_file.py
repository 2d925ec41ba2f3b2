"""LoRA files: which weights of a base the modules of an adapter belong to, in kohya's, diffusers' or peft's names."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.evidence.errors import InputError
from spqr_tests.evidence.formats.layouts import Layout
from spqr_tests.evidence.formats.layouts.table import Place
from spqr_tests.evidence.formats.lora import Lora, Update
from spqr_tests.evidence.formats.piece import Piece, StoredTensor, TensorFile

if TYPE_CHECKING:
    from spqr_tests.evidence.parts import Component, Parts

_NAMES = (
    ("kohya's", re.compile(r"(?P<module>.+)\.lora_(?P<role>down|up)\.weight")),
    ("peft's", re.compile(r"(?P<module>.+)\.lora_(?P<role>A|B)(\.[^.]+)?\.weight")),
    ("diffusers'", re.compile(r"(?P<module>.+)\.lora(_linear_layer)?\.(?P<role>down|up)\.weight")),
    ("diffusers' older", re.compile(r"(?P<module>.+)_lora\.(?P<role>down|up)\.weight")),
)
_ALPHA = re.compile(r"(?P<module>.+?)(\.lora|\.lora_linear_layer|_lora)?\.alpha")
_ROLES = {"A": "down", "B": "up"}
_OTHERS = (
    ("DoRA", re.compile(r".+\.(dora_scale|lora_magnitude_vector(\..+)?)")),
    ("LoHa", re.compile(r".+\.hada_.+")),
    ("LoKr", re.compile(r".+\.lokr_.+")),
    ("LoCon with a Tucker core (lora_mid)", re.compile(r".+\.lora_mid\.weight")),
    ("OFT", re.compile(r".+\.b?oft_.+")),
    ("IA3", re.compile(r".+\.(ia3_.+|on_input)")),
    ("VeRA", re.compile(r".*\bvera_.+")),
    ("LoRA of embeddings", re.compile(r".+\.lora_embedding_[AB](\..+)?")),
    ("LoRA with biases", re.compile(r".+\.(diff_b|b_norm|lora_(up|B)(\.[^.]+)?\.bias)")),
    ("LyCORIS adapter with whole differences", re.compile(r".+\.(diff|w_norm)")),
)
"""Adapters that are not up @ down: merged as if they were, they would be another model."""
_JOINED = {
    "lora_unet_": "",
    "lora_transformer_": "",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lora_te3_": "text_encoder_3",
}
"""kohya's prefixes and the components they stand for, '' for the denoiser."""
_WRAPPERS = ("base_model.model.", "module.")
_DENOISER = ("model.diffusion_model.", "diffusion_model.")
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "F8_E4M3": "", "F8_E5M2": ""}
_INTEGERS = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "U8": "<u1", "I8": "<i1"}
_UNCHANGING_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
_METADATA = "lora_adapter_metadata"


@dataclass(frozen=True)
class LoraFile:
    """An adapter file that was recognised."""

    lora: Lora
    names: str
    """Whose names it uses, for messages: "kohya's"."""


def is_adapter(names: Iterable[str]) -> bool:
    """Whether tensors of these names are, all or some, an adapter's."""
    patterns = [pattern for _, pattern in (*_NAMES, *_OTHERS)]
    return any(pattern.fullmatch(name) for name in names for pattern in patterns)


def read(file: TensorFile, parts: "Parts", config: Mapping[str, Any] | None = None) -> LoraFile | None:
    """The updates of an adapter file, None when it is none; `config` is peft's adapter_config.json where one lies beside it.

    `InputError` for an adapter that is no LoRA, for one whose modules are not all the base's or do not have its shapes, and for
    one that changes nothing.
    """
    if not is_adapter(file.tensors):
        return None
    if not (file.tensors and parts.models):
        return None
    modules, names = _modules(file)
    bases = _Bases(parts)
    homes = {module: bases.find(file.path, module, found) for module, found in modules.items()}
    unknown = [module for module, home in homes.items() if home is None]
    if unknown:
        raise InputError(
            f"{file.path} is a LoRA of another base: {len(homes) - len(unknown)} of its {len(homes)} modules are the base's, and "
            f"{unknown[0]} is not."
        )
    alphas = _Alphas(file, parts, config)
    updates: dict[tuple[str, str], Update] = {}
    for module, home in homes.items():
        if home is None:
            continue
        scale = alphas.scale(home, modules[module])
        for update in _updates(file, home, modules[module], scale):
            key = (update.component, update.tensor)
            if key in updates:
                raise InputError(
                    f"{file.path} changes the {update.component}'s {update.tensor} twice, the second time by {module}."
                )
            updates[key] = update
    lora = Lora(tuple(updates[key] for key in sorted(updates)))
    if not any(_changes(update) for update in lora.updates):
        raise InputError(f"{file.path} changes nothing: its updates are all zero, and the base alone would be measured.")
    return LoraFile(lora, names)


@dataclass
class _Module:
    """What a file holds for one module."""

    named: str
    """The module's name as the file has it."""
    older: bool = False
    """Named after diffusers' attention processors, which had names of their own for the parts of an attention."""
    down: StoredTensor | None = None
    up: StoredTensor | None = None
    alpha: StoredTensor | None = None

    @property
    def rank(self) -> int:
        return self.down.shape[0] if self.down is not None and self.down.shape else 0


@dataclass(frozen=True)
class _Home:
    """Where a module of a file belongs."""

    component: "Component"
    module: str
    """Its name as the file has it, without what says the component."""
    places: tuple[Place, ...]


def _modules(file: TensorFile) -> tuple[dict[str, _Module], str]:
    """The modules of a file by their names there, and whose names these are."""
    modules: dict[str, _Module] = {}
    styles: list[str] = []
    leftover: list[str] = []
    for name, stored in file.tensors.items():
        kind = next((kind for kind, pattern in _OTHERS if pattern.fullmatch(name)), None)
        if kind is not None:
            raise InputError(
                f"{file.path} is a {kind} adapter ({name}), and only LoRA is merged here; merge it with the tool that made it and "
                "give the full weights."
            )
        read = next(((style, found) for style, pattern in _NAMES if (found := pattern.fullmatch(name))), None)
        alpha = _ALPHA.fullmatch(name)
        if read is None and alpha is None:
            leftover.append(name)
            continue
        if read is not None:
            style, found = read
            role = _ROLES.get(found["role"], found["role"])
            styles.append(style)
        else:
            assert alpha is not None  # noqa: S101 - one of both is there
            style, found, role = "", alpha, "alpha"
        module = modules.setdefault(found["module"], _Module(found["module"]))
        module.older = module.older or style == "diffusers' older"
        if getattr(module, role) is not None:
            raise InputError(
                f"{file.path} holds several adapters: {module.named} has two tensors for {role}; give one adapter a file."
            )
        _check_stored(file.path, stored, role)
        setattr(module, role, stored)
    if leftover:
        raise InputError(
            f"{file.path} is a LoRA file with other tensors besides: {len(file.tensors) - len(leftover)} of {len(file.tensors)} are a "
            f"LoRA's, and {leftover[0]} is not."
        )
    for module in modules.values():
        if module.down is None or module.up is None:
            missing, there = ("down", module.up or module.alpha) if module.down is None else ("up", module.down)
            assert there is not None  # noqa: S101 - a module is made for a tensor
            raise InputError(f"{file.path} is damaged: {there.name} is there and the module's {missing} matrix is not.")
    return modules, max(styles, key=styles.count)


def _check_stored(path: Path, stored: StoredTensor, role: str) -> None:
    allowed = _FLOATS | _INTEGERS if role == "alpha" else _FLOATS
    if stored.dtype not in allowed:
        raise InputError(f"{path}: {stored.name} is stored as {stored.dtype}; a LoRA's matrices are floating-point numbers.")
    if role == "alpha" and prod(stored.shape) != 1:
        raise InputError(f"{path}: {stored.name} has the shape {list(stored.shape)}; an alpha is one number.")
    if role != "alpha" and len(stored.shape) < 2:
        raise InputError(f"{path}: {stored.name} has the shape {list(stored.shape)}; a LoRA's matrices have two axes or more.")


class _Bases:
    """The modules that a base has, by every name that adapters give them."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._denoiser = parts.backbone.denoiser
        self._components = {name: _Base(component) for name, component in parts.models.items()}

    def find(self, path: Path, named: str, module: _Module) -> _Home | None:
        """Where a module belongs; None when the base has none of its name.

        `InputError` when the shapes do not fit, and when more than one component may be meant.
        """
        misfit = ""
        homes = []
        for component, rest in self._candidates(named):
            for tensor in self._components[component].tensors(rest, older=module.older):
                places = (Place(tensor, self._parts.models[component].tensors[tensor].shape),)
                home = _Home(self._parts.models[component], _plain(rest, older=module.older), places)
                problem = _misfit(home, module)
                misfit = misfit or problem
                homes += [] if problem else [home]
            if component == self._denoiser and not homes:
                places = self._stored(rest, module)
                home = _Home(self._parts.models[component], rest, places)
                problem = _misfit(home, module) if places else ""
                misfit = misfit or problem
                homes += [home] if places and not problem else []
        if len(homes) > 1:
            which = " or ".join(f"the {home.component.name}'s" for home in homes)
            prefix = homes[0].component.name
            raise InputError(f"{path} does not say whether {named} is {which}; put {prefix}. before the names of its tensors.")
        if homes:
            return homes[0]
        if misfit:
            raise InputError(f"{path} is a LoRA of another base: {misfit}.")
        return None

    def _candidates(self, named: str) -> Iterator[tuple[str, str]]:
        for prefix, component in _JOINED.items():
            if named.startswith(prefix):
                yield from ((name, named.removeprefix(prefix)) for name in [self._spoken(component)] if name in self._components)
                return
        while wrapper := next((wrapper for wrapper in _WRAPPERS if named.startswith(wrapper)), None):
            named = named.removeprefix(wrapper)
        for component in self._components:
            if named.startswith(f"{component}."):
                yield component, named.removeprefix(f"{component}.")
                return
        for prefix in _DENOISER:
            if named.startswith(prefix):
                yield self._denoiser, named.removeprefix(prefix)
                return
        yield from ((component, named) for component in self._components)

    def _spoken(self, component: str) -> str:
        """kohya's FLUX trainer calls T5 the third text encoder, where it is the pipeline's second."""
        if not component:
            return self._denoiser
        if component == "text_encoder_3" and component not in self._components:
            return "text_encoder_2"
        return component

    def _stored(self, rest: str, module: _Module) -> tuple[Place, ...]:
        """The places of a module that is named as the authors of the base name it."""
        stored = self._originals.get(rest)
        if self._layout is None or stored is None or module.down is None or module.up is None:
            return ()
        found = self._layout.places(f"{stored}.weight", (module.up.shape[0], *module.down.shape[1:])) or ()
        return tuple(place for _, place in found)

    @cached_property
    def _layout(self) -> Layout | None:
        original = self._parts.backbone.original
        if original is None:
            return None
        try:
            return Layout(original, {self._denoiser: self._parts.models[self._denoiser].config})
        except InputError:  # an architecture that the authors' layout has no names for
            return None

    @cached_property
    def _originals(self) -> dict[str, str]:
        """The authors' names of the denoiser's modules, by themselves and joined as kohya does."""
        if self._layout is None:
            return {}
        names = {self._layout.stored_module(self._denoiser, module) for module in self._components[self._denoiser].modules}
        return {spelled: name for name in names if name is not None for spelled in (name, name.replace(".", "_"))}


class _Base:
    """The modules of one component by name."""

    def __init__(self, component: "Component") -> None:
        self._component = component

    @cached_property
    def modules(self) -> dict[str, str]:
        """The weight of each module that a LoRA can change."""
        weights = [name for name, piece in self._component.tensors.items() if name.endswith(".weight") and len(piece.shape) >= 2]
        return {name.removesuffix(".weight"): name for name in weights}

    @cached_property
    def _spelled(self) -> dict[str, str]:
        spelled = {}
        for module, weight in self.modules.items():
            # transformers dropped `text_model.`; adapters were trained when it was there.
            for name in (module, f"text_model.{module}"):
                spelled |= {name: weight, name.replace(".", "_"): weight}
        return spelled

    def tensors(self, named: str, *, older: bool) -> Iterator[str]:
        """The weight that an adapter's module changes: none or one."""
        name = _plain(named, older=older)
        leaves = {"to_out": ("to_out.0", "out_proj"), "to_q": ("q_proj",), "to_k": ("k_proj",), "to_v": ("v_proj",)}
        stem, _, leaf = name.rpartition(".")
        others = [f"{stem}.{other}" for other in leaves.get(leaf, ())] if older else []
        found = next((self._spelled[spelled] for spelled in (name, *others) if spelled in self._spelled), None)
        if found is not None:
            yield found


def _plain(named: str, *, older: bool) -> str:
    return named.replace(".processor.", ".") if older else named


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the trailing ones of a 1 x 1 convolution."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _misfit(home: _Home, module: _Module) -> str:
    """Why a module does not fit its place, '' when it does."""
    if module.down is None or module.up is None:
        raise ValueError(f"{module.named} is not complete")
    up, down = _core(module.up.shape), _core(module.down.shape)
    if len(up) != 2 or up[1] != down[0] or not down[0]:
        return f"{module.named} multiplies {list(module.up.shape)} with {list(module.down.shape)}, which have no rank in common"
    for place in home.places:
        base = home.component.tensors.get(place.name)
        rows = sum(end - begin for begin, end in place.rows) if place.rows is not None else up[0]
        if base is None or place.transposed or (rows, *down[1:]) != _core(base.shape):
            has = "is not there" if base is None else f"is {list(base.shape)}"
            return f"{module.named} changes a weight of the shape {[up[0], *down[1:]]}, and the {home.component.name}'s {place.name} {has}"
    return ""


def _updates(file: TensorFile, home: _Home, module: _Module, scale: float) -> Iterator[Update]:
    if module.down is None or module.up is None:
        raise ValueError(f"{module.named} is not complete")
    for place in home.places:
        weight = home.component.tensors[place.name].shape
        ones = (1,) * (len(weight) - 2)
        down = Piece(file, module.down, (module.rank, *weight[1:]))
        up = Piece(file, module.up, (weight[0], module.rank, *ones), place.rows)
        yield Update(home.component.name, place.name, down, up, scale)


def _changes(update: Update) -> bool:
    return all(any(block.count(0) != len(block) for block in _bytes(piece)) for piece in (update.up, update.down))


def _bytes(piece: Piece) -> Iterator[bytes]:
    bits = int(piece.stored.dtype.lstrip("BF").split("_")[0])
    yield from piece.file.blocks(piece.stored.name, 0, prod(piece.stored.shape) * bits // 8)


class _Alphas:
    """What each module is scaled by: alpha / rank, alpha from the tensor beside the matrices, from peft's config, or the rank."""

    def __init__(self, file: TensorFile, parts: "Parts", config: Mapping[str, Any] | None) -> None:
        self._file = file
        components = tuple(parts.models)
        text = getattr(file, "metadata", {}).get(_METADATA) if config is None else None
        table = _parsed(file.path, text) if text is not None else config
        self._configs: dict[str, _Config] = {}
        if table is None:
            return
        named = any(key.startswith(f"{component}.") for key in table for component in components)
        for component in components:
            prefix = f"{component}." if named else ""
            settings = {key.removeprefix(prefix): value for key, value in table.items() if key.startswith(prefix)}
            if settings:
                self._configs[component] = _Config(file.path, settings)

    def scale(self, home: _Home, module: _Module) -> float:
        config = self._configs.get(home.component.name)
        if module.alpha is None:
            return config.scale(home.module, module.rank) if config is not None else 1.0
        if config is not None:
            raise InputError(
                f"{self._file.path} says twice by how much {module.named} is scaled, in {module.alpha.name} and in its adapter config."
            )
        alpha = _number(self._file, module.alpha)
        if not (isfinite(alpha) and alpha > 0):
            raise InputError(f"{self._file.path}: {module.alpha.name} is {alpha}; an alpha is a number above 0.")
        return alpha / module.rank


class _Config:
    """peft's settings of one component's adapter, as far as they say what is added to the weights."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        kind = settings.get("peft_type", "LORA")
        if kind != "LORA":
            raise InputError(f"{path} is a peft adapter of the type {kind}, and only LoRA is merged here; merge it with peft.")
        odd = [key for key in _OTHER_SUMS if settings.get(key)]
        if odd:
            raise InputError(f"{path} is a LoRA with {odd[0]}, which is more than a product of two matrices; merge it with peft.")
        start = settings.get("init_lora_weights", True)
        if not any(start is known or (isinstance(start, str) and start == known) for known in _UNCHANGING_STARTS):
            raise InputError(
                f"{path} was trained with init_lora_weights {start!r}, which changes the base's weights as well; convert it with peft's "
                "path_initial_model_for_weight_conversion."
            )
        self._rslora = bool(settings.get("use_rslora"))
        self._alpha = self._value("lora_alpha", settings.get("lora_alpha", 8))
        self._rank = self._value("r", settings.get("r", 8))
        self._alphas = self._patterns("alpha_pattern", settings)
        self._ranks = self._patterns("rank_pattern", settings)

    def scale(self, module: str, rank: int) -> float:
        said = _matched(self._ranks, module, self._rank)
        if said != rank:
            raise InputError(f"{self._path}: {module} has the rank {rank}, and the adapter config says {said:g}.")
        return _matched(self._alphas, module, self._alpha) / (sqrt(rank) if self._rslora else rank)

    def _value(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
            raise InputError(f"{self._path}: its adapter config says {key} = {value!r}, which is no number above 0.")
        return float(value)

    def _patterns(self, key: str, settings: Mapping[str, Any]) -> dict[str, float]:
        table = settings.get(key) or {}
        if not isinstance(table, dict):
            raise InputError(f"{self._path}: its adapter config's {key} is not a table.")
        for pattern in table:
            # peft reads them as regular expressions; trainers write names, whose only special sign is the dot.
            if not re.fullmatch(r"\^?[\w.-]+", pattern):
                raise InputError(
                    f"{self._path}: its adapter config's {key} names {pattern!r}; only names of modules are understood."
                )
        return {pattern: self._value(f"{key}[{pattern}]", value) for pattern, value in table.items()}


_OTHER_SUMS = (
    "use_dora",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)


def _matched(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first name that the module has, or ends with after a dot; '^' stands for the beginning."""
    for pattern, value in patterns.items():
        name = pattern.removeprefix("^")
        if module == name or (name == pattern and module.endswith(f".{name}")):
            return value
    return default


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise InputError(f"{path}: its metadata's {_METADATA} is not a JSON table.")
    return table


def _number(file: TensorFile, stored: StoredTensor) -> float:
    """The one number of a tensor."""
    kind = (_FLOATS | _INTEGERS)[stored.dtype]
    if not kind:
        raise InputError(f"{file.path}: {stored.name} is stored as {stored.dtype}, which is too coarse for an alpha.")
    data = np.frombuffer(b"".join(file.blocks(stored.name, 0, np.dtype(kind).itemsize)), dtype=kind)
    if stored.dtype == "BF16":
        data = (data.astype("<u4") << 16).view("<f4")
    return float(data[0])
