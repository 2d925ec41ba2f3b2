"""The naming layouts that an overlay may use, and how well a file fits each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from spqr_tests import quotes
from spqr_tests.checkpoint.formats import component_folder, kinds, stated_numbers
from spqr_tests.checkpoint.formats.layouts import Layout
from spqr_tests.checkpoint.formats.tensor import ModelTensor, StoredTensor, TensorFile
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError

# What DataParallel, torch.compile and trainers' own classes put before the names.
_WRAPPERS = ("module.", "_orig_mod.", "model.")


@dataclass
class Match:
    """How a file fits a layout: the base's tensors that it replaces, and the first problem."""

    layout: str
    placed: dict[tuple[str, str], ModelTensor] = field(default_factory=dict)
    near: int = 0
    """Tensors with a name of the base's, but another shape or more than one place."""
    problem: str = ""
    """Why the file does not fit, as a part of a sentence; '' when it does."""

    def place(self, component: str, name: str, tensor: ModelTensor, parts: Parts) -> None:
        """Let a tensor replace the base's tensor of that name."""
        base = parts.models[component].tensors.get(name)
        if base is None:
            self.refuse(f"{tensor.stored.name} is not the base's")
        elif problem := misfit(tensor, base):
            self.near += 1
            self.refuse(f"{tensor.stored.name} {problem.format(component)}")
        elif (
            there := self.placed.get((component, name))
        ) is not None and there.digest() != tensor.digest():
            self.refuse(
                f"{there.stored.name} and {tensor.stored.name} are one tensor of the {component},"
                " but differ"
            )
        else:
            self.placed[component, name] = tensor

    def refuse(self, problem: str) -> None:
        """Keep the first problem."""
        self.problem = self.problem or problem


def misfit(tensor: ModelTensor, base: ModelTensor) -> str:
    """Why a tensor cannot replace the base's; '' when it can. The precision may differ.

    The reason contains {} for the component's name.
    """
    if tensor.shape != base.shape:
        return f"has the shape {list(tensor.shape)}, and the {{}}'s {list(base.shape)}"
    if _is_float(tensor.stored) != _is_float(base.stored):
        return f"is stored as {tensor.stored.dtype}, and the {{}}'s as {base.stored.dtype}"
    return ""


def _is_float(stored: StoredTensor) -> bool:
    return stored.dtype.startswith(("F", "BF"))


def _todays(file: TensorFile, parts: Parts) -> Match:
    """Match the current names of diffusers and transformers, with or without the component's."""
    match = Match("diffusers' names")
    for stored in file.tensors.values():
        if _names_position(stored.name):
            continue
        component, rest = _component(stored.name, parts)
        found = []
        for name in [component] if component else parts.models:
            renamed = component_folder.canonical_name(
                parts.models[name].model_class, StoredTensor(rest, stored.dtype, stored.shape)
            )
            if renamed is not None and renamed[0] in parts.models[name].tensors:
                found.append((name, renamed[0], ModelTensor(file, stored, renamed[1])))
        fitting = [
            place
            for place in found
            if not misfit(place[2], parts.models[place[0]].tensors[place[1]])
        ] or found[:1]
        if len(fitting) == 1:
            match.place(*fitting[0], parts)
        elif fitting:
            match.near += 1
            which = " or ".join(f"the {name}'s" for name, _, _ in fitting)
            match.refuse(
                f"{stored.name} may be {which}: put the component's name in front of it, as in"
                f" {fitting[0][0]}.{rest}"
            )
        else:
            match.refuse(f"{stored.name} is not the base's")
    _require_some(match, file)
    if {component for component, _ in match.placed} and all(
        parts.backbone.models[component][0] == "transformers" for component, _ in match.placed
    ):
        match.layout = "transformers' names"
    return match


def _originals(file: TensorFile, parts: Parts) -> Match | None:
    """Match the names of the base's authors; None when they have none for its architecture."""
    original, layout = parts.backbone.original, original_layout(parts)
    if original is None or layout is None:
        return None
    configs = {name: model.config for name, model in parts.models.items()}
    match = Match(f"the names of a {original.name}")
    match.refuse(stated_numbers.problem(original, file, configs))
    _, scheduler = parts.scheduler
    for stored in file.tensors.values():
        if (mark := original.marks.get(stored.name)) is not None:
            for key in mark:
                if scheduler.get(key) != mark[key]:
                    match.refuse(
                        f"{stored.name} means a scheduler with {key} ="
                        f" {quotes.shown(mark[key])}, and the"
                        f" base's has {quotes.shown(scheduler.get(key))}"
                    )
            continue
        answers = [layout.places(name, stored.shape) for name in _unwrapped(stored.name)]
        places = next((answer for answer in answers if answer is not None), None)
        if places is None:
            if not _names_position(stored.name):
                match.refuse(f"{stored.name}, of the shape {list(stored.shape)}, is not the base's")
            continue
        for component, place in places:
            match.place(
                component,
                place.name,
                ModelTensor(file, stored, place.shape, place.rows, place.transposed),
                parts,
            )
    _require_some(match, file)
    return match


LAYOUTS: tuple[Callable[[TensorFile, Parts], Match | None], ...] = (_todays, _originals)
"""Each returns how well a file fits it."""


def known_layouts(parts: Parts) -> str:
    """The names that `LAYOUTS` and adapters know, for messages."""
    original = parts.backbone.original
    authors = last = ""
    if original is not None and original_layout(parts) is not None:
        authors = f", those of a {original.name}"
    else:
        last = (
            ". Files in other names of its authors are not read: load the model with diffusers,"
            " save it as a pipeline folder and pass that"
        )
    return (
        f"diffusers' and transformers' names (alone or after the component's){authors}, and LoRAs"
        f" of kohya, diffusers and peft{last}"
    )


def original_layout(parts: Parts) -> Layout | None:
    """The layout of the base's authors; None when they have no names for its architecture."""
    original = parts.backbone.original
    if original is None:
        return None
    try:
        return Layout(original, {name: model.config for name, model in parts.models.items()})
    except InputError:
        return None


def other_kind(file: TensorFile, parts: Parts) -> str:
    """The kind of a known file that is not an overlay ('a ControlNet'); '' for other files."""
    if found := kinds.other(file.tensors):
        return found[0]
    widths = {
        tensor.shape[-1]
        for name, model in parts.models.items()
        if name.startswith("text_encoder")
        for key, tensor in model.tensors.items()
        if key.endswith(("token_embedding.weight", "shared.weight"))
    }
    given = kinds.inversion_widths(file.tensors, widths)
    return kinds.inversion(given, widths) if given else ""


def _require_some(match: Match, file: TensorFile) -> None:
    if not match.placed and not match.problem:
        match.problem = f"none of its {len(file.tensors)} tensors is a weight"


def _names_position(name: str) -> bool:
    """Whether this is the counter that CLIP's text model used to keep among its weights."""
    return name.endswith("position_ids")


def _unwrapped(name: str) -> Iterator[str]:
    """A name, then the name without each of the prefixes that wrappers put before it."""
    yield name
    while wrapper := next((wrapper for wrapper in _WRAPPERS if name.startswith(wrapper)), None):
        name = name.removeprefix(wrapper)
        yield name


def _component(name: str, parts: Parts) -> tuple[str, str]:
    """The component that a name begins with, or '', and the rest without wrappers' prefixes."""
    *_, plain = _unwrapped(name)
    for component in parts.models:
        if plain.startswith(f"{component}."):
            *_, rest = _unwrapped(plain.removeprefix(f"{component}."))
            return component, rest
    return "", plain
