"""Where the modules of a LoRA belong in a base, by all the names that trainers give them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spqr_tests.checkpoint.formats.layouts import Layout
from spqr_tests.checkpoint.formats.layouts.table import Place
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
}
"""kohya's prefixes and the components they stand for, '' for the denoiser."""
_WRAPPERS = ("base_model.model.", "module.")
_DENOISER = ("model.diffusion_model.", "diffusion_model.")


@dataclass(frozen=True)
class Home:
    """Where a module of a file belongs."""

    component: Component
    module: str
    """Its name as the file has it, without what says the component."""
    places: tuple[Place, ...]


class Homes:
    """The modules that a base has, by every name that adapters give them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._denoiser = parts.backbone.denoiser
        self._components = {name: _Base(component) for name, component in parts.models.items()}

    def of_all(self, path: Path, modules: Sequence[Module]) -> list[Home]:
        """Where each module belongs.

        `InputError` when a module is not the base's or has another shape there, and when more than
        one component may be meant.
        """
        homes = [self._of(path, module) for module in modules]
        unknown = [
            module.named for module, home in zip(modules, homes, strict=True) if home is None
        ]
        if unknown:
            raise InputError(
                f"{path} is a LoRA of another base: {len(homes) - len(unknown)} of its {len(homes)}"
                f" modules are the base's, and {unknown[0]} is not."
            )
        return [home for home in homes if home is not None]

    def _of(self, path: Path, module: Module) -> Home | None:
        """Where a module belongs; None when the base has none of its name."""
        misfit = ""
        homes: list[Home] = []
        for component, rest in self._candidates(module.named):
            for home in self._possible(component, rest, module):
                problem = _misfit(home, module)
                misfit = misfit or problem
                homes += [] if problem else [home]
        if len(homes) > 1:
            which = " or ".join(f"the {home.component.name}'s" for home in homes)
            prefix = homes[0].component.name
            raise InputError(
                f"{path} does not say whether {module.named} is {which}; put {prefix}. before the"
                " names of its tensors."
            )
        if homes:
            return homes[0]
        if misfit:
            raise InputError(f"{path} is a LoRA of another base: {misfit}.")
        return None

    def _possible(self, component: str, rest: str, module: Module) -> Iterator[Home]:
        """Where a module of that name would be in a component: by today's names, else by the authors'."""
        base = self._parts.models[component]
        tensor = self._components[component].tensor(rest, older=module.older)
        if tensor is not None:
            yield Home(
                base, _plain(rest, older=module.older), (Place(tensor, base.tensors[tensor].shape),)
            )
        elif component == self._denoiser and (places := self._stored(rest, module)):
            yield Home(base, rest, places)

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
        """kohya's FLUX trainer calls T5 the third text encoder, where it is the pipeline's second."""
        if not component:
            return self._denoiser
        if component == "text_encoder_3" and component not in self._components:
            return "text_encoder_2"
        return component

    def _stored(self, rest: str, module: Module) -> tuple[Place, ...]:
        """The places of a module that is named as the authors of the base name it."""
        stored = self._originals.get(rest)
        if self._layout is None or stored is None:
            return ()
        found = (
            self._layout.places(f"{stored}.weight", (module.up.shape[0], *module.down.shape[1:]))
            or ()
        )
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
        """The weight of each module that a LoRA can change."""
        weights = [
            name
            for name, piece in self._component.tensors.items()
            if name.endswith(".weight") and len(piece.shape) >= 2
        ]
        return {name.removesuffix(".weight"): name for name in weights}

    @cached_property
    def _spelled(self) -> dict[str, str]:
        spelled: dict[str, str] = {}
        for module, weight in self.modules.items():
            # transformers dropped `text_model.`; adapters were trained when it was there.
            for name in (module, f"text_model.{module}"):
                spelled |= {name: weight, name.replace(".", "_"): weight}
        return spelled

    def tensor(self, named: str, *, older: bool) -> str | None:
        """The weight that an adapter's module changes."""
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


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the trailing ones of a 1 x 1 convolution."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _misfit(home: Home, module: Module) -> str:
    """Why a module does not fit its place, '' when it does."""
    up, down = _core(module.up.shape), _core(module.down.shape)
    if len(up) != 2 or up[1] != down[0] or not down[0]:
        return (
            f"{module.named} multiplies {list(module.up.shape)} with {list(module.down.shape)},"
            " which have no rank in common"
        )
    for place in home.places:
        base = home.component.tensors.get(place.name)
        rows = sum(end - begin for begin, end in place.rows) if place.rows is not None else up[0]
        if base is None or place.transposed or (rows, *down[1:]) != _core(base.shape):
            has = "is not there" if base is None else f"is {list(base.shape)}"
            return (
                f"{module.named} changes a weight of the shape {[up[0], *down[1:]]}, and the"
                f" {home.component.name}'s {place.name} {has}"
            )
    return ""
