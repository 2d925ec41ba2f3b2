"""Finds the weights that an adapter's modules change, by all the names that trainers use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

from spqr_tests.checkpoint.formats import kinds
from spqr_tests.checkpoint.formats.layouts import Layout
from spqr_tests.checkpoint.formats.layouts.table import Place
from spqr_tests.checkpoint.lora.change import shape_of
from spqr_tests.checkpoint.lora.modules import Module
from spqr_tests.checkpoint.parts import Component, Parts
from spqr_tests.errors import InputError

_JOINED = {
    "lora_unet_": "",
    "lora_transformer_": "",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lora_te3_": "text_encoder_3",
    "oft_unet_": "",
    "lycoris_": "",
}
"""Prefixes of joined names and the components that they mean, '' for the denoiser."""
_WRAPPERS = ("base_model.model.", "module.")
_DENOISER = ("model.diffusion_model.", "diffusion_model.")


@dataclass(frozen=True)
class Target:
    """What a module of a file changes."""

    component: Component
    module: str
    """Its name in the file, without the prefix for the component."""
    places: tuple[Place, ...]


class Targets:
    """The modules of a base, by every name that adapters give them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._denoiser = parts.backbone.denoiser
        self._components = {name: _Base(component) for name, component in parts.models.items()}

    def of_all(self, path: Path, modules: Sequence[Module]) -> list[Target]:
        """The target of each module.

        `InputError` when the base lacks a module or has it in another shape, and when a module may
        belong to more than one component.
        """
        targets = [self._of(path, module, modules) for module in modules]
        unknown = [
            module.named for module, target in zip(modules, targets, strict=True) if target is None
        ]
        if unknown:
            raise InputError(
                f"{path} is {modules[0].kind.name} of another base: this base has"
                f" {len(targets) - len(unknown)} of its {len(targets)} modules, but not"
                f" {unknown[0]}.{self._made_for(modules)}"
            )
        return [target for target in targets if target is not None]

    def _of(self, path: Path, module: Module, modules: Sequence[Module]) -> Target | None:
        """The target of one of a file's modules; None when the base has no module of its name."""
        misfit = ""
        targets: list[Target] = []
        for component, rest in self._candidates(module.named):
            for target in self._possible(component, rest, module):
                problem = _misfit(target, module)
                misfit = misfit or problem
                targets += [] if problem else [target]
        if len(targets) > 1:
            which = " or ".join(f"the {target.component.name}'s" for target in targets)
            prefix = targets[0].component.name
            raise InputError(
                f"{path} does not say whether {module.named} is {which}; put {prefix}. in front of"
                " the names of its tensors."
            )
        if targets:
            return targets[0]
        if misfit:
            raise InputError(
                f"{path} is {module.kind.name} of another base: {misfit}.{self._made_for(modules)}"
            )
        return None

    def _made_for(self, modules: Sequence[Module]) -> str:
        """A sentence that names the family of a LoRA that does not fit; '' when it is unknown."""
        stored = {tensor.name: tensor for module in modules for tensor in module.held.values()}
        made_for = kinds.family(stored)
        same = made_for == self._parts.backbone.name
        return f" It was made for {made_for}." if made_for and not same else ""

    def _possible(self, component: str, rest: str, module: Module) -> Iterator[Target]:
        """The module of that name in a component: by current names, else by the authors' names."""
        base = self._parts.models[component]
        tensor = self._components[component].tensor(rest, older=module.older)
        if tensor is not None:
            yield Target(
                base, _plain(rest, older=module.older), (Place(tensor, base.tensors[tensor].shape),)
            )
        elif component == self._denoiser and (places := self._stored(rest, module)):
            yield Target(base, rest, places)

    def _candidates(self, named: str) -> Iterator[tuple[str, str]]:
        for prefix, component in _JOINED.items():
            if named.startswith(prefix):
                yield from (
                    (name, named.removeprefix(prefix))
                    for name in [self._spoken(component)]
                    if name in self._components
                )
                return
        while wrapper := next(
            (wrapper for wrapper in _WRAPPERS if named.startswith(wrapper)), None
        ):
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
        """The component that kohya means.

        kohya's FLUX trainer calls T5 the third text encoder, but it is the pipeline's second.
        """
        if not component:
            return self._denoiser
        if component == "text_encoder_3" and component not in self._components:
            return "text_encoder_2"
        return component

    def _stored(self, rest: str, module: Module) -> tuple[Place, ...]:
        """The places of a module that has the name that the authors of the base use."""
        stored = self._originals.get(rest)
        if self._layout is None or stored is None:
            return ()
        found = self._layout.places(f"{stored}.weight", module.shape) or ()
        return tuple(place for _, place in found)

    @cached_property
    def _layout(self) -> Layout | None:
        original = self._parts.backbone.original
        if original is None:
            return None
        try:
            return Layout(original, {self._denoiser: self._parts.models[self._denoiser].config})
        except InputError:  # the authors' layout has no names for this architecture
            return None

    @cached_property
    def _originals(self) -> dict[str, str]:
        """The authors' names of the denoiser's modules, by themselves and as kohya joins them."""
        if self._layout is None:
            return {}
        names = {
            self._layout.stored_module(self._denoiser, module)
            for module in self._components[self._denoiser].modules
        }
        return {
            spelled: name
            for name in names
            if name is not None
            for spelled in (name, name.replace(".", "_"))
        }


class _Base:
    """The modules of one component by name."""

    def __init__(self, component: Component) -> None:
        self._component = component

    @cached_property
    def modules(self) -> dict[str, str]:
        """The name of the weight of each module that a LoRA can change."""
        weights = [
            name
            for name, tensor in self._component.tensors.items()
            if name.endswith(".weight") and len(tensor.shape) >= 2
        ]
        return {name.removesuffix(".weight"): name for name in weights}

    @cached_property
    def _spelled(self) -> dict[str, str]:
        spelled: dict[str, str] = {}
        for module, weight in self.modules.items():
            # transformers dropped `text_model.`, but older adapters have it.
            for name in (module, f"text_model.{module}"):
                spelled |= {name: weight, name.replace(".", "_"): weight}
        return spelled

    def tensor(self, named: str, *, older: bool) -> str | None:
        """The name of the weight that an adapter's module changes."""
        name = _plain(named, older=older)
        leaves = {
            "to_out": ("to_out.0", "out_proj"),
            "to_q": ("q_proj",),
            "to_k": ("k_proj",),
            "to_v": ("v_proj",),
        }
        stem, _, leaf = name.rpartition(".")
        others = [f"{stem}.{other}" for other in leaves.get(leaf, ())] if older else []
        return next(
            (self._spelled[spelled] for spelled in (name, *others) if spelled in self._spelled),
            None,
        )


def _plain(named: str, *, older: bool) -> str:
    return named.replace(".processor.", ".") if older else named


def _misfit(target: Target, module: Module) -> str:
    """Why a module does not fit its place, '' when it does."""
    first = target.places[0]
    base = target.component.tensors.get(first.name)
    if base is None or any(place.transposed for place in target.places):
        has = "is missing" if base is None else f"is {list(base.shape)}"
        return (
            f"{module.named} changes a weight, and the {target.component.name}'s {first.name} {has}"
        )
    if any(
        place.name not in target.component.tensors
        or target.component.tensors[place.name].shape[1:] != base.shape[1:]
        or sum(end - begin for begin, end in place.rows or ())
        not in (0, target.component.tensors[place.name].shape[0])
        for place in target.places
    ):
        return f"{module.named} changes weights that the {target.component.name} has otherwise"
    whole = shape_of(target.places, base.shape)
    if not module.kind.fits(module.held, whole):
        shape = list(module.shape)
        changes = (
            f"a weight of the shape {shape}" if all(shape) else f"another one by {_held(module)}"
        )
        return (
            f"{module.named} changes {changes}, and the"
            f" {target.component.name}'s {first.name} is {list(whole)}"
        )
    lengths = module.held.get("magnitude")
    if lengths is not None and prod(lengths.shape) != whole[1 if module.inputs else 0]:
        return (
            f"{lengths.name} has {prod(lengths.shape)} lengths, and the {target.component.name}'s"
            f" {first.name} is {list(whole)}"
        )
    return ""


def _held(module: Module) -> str:
    """The tensors of a module, with shapes, for messages."""
    return " and ".join(
        f"{role} of the shape {list(one.shape)}" for role, one in module.held.items()
    )
