"""The state of a training, kept every few minutes: it goes on from there to the same bits."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from spqr_tests.generation.batches import Batches
from spqr_tests.store import tensors
from spqr_tests.store.store import Store

if TYPE_CHECKING:
    import torch

KIND = "trainings"
_EVERY = 180.0
"""Seconds between two states; more where writing one takes long."""
_WRITING = 10
"""How many times longer than the writing of a state the training goes on before the next."""


@dataclass(frozen=True)
class State:
    """All that the next steps depend on."""

    tensors: "Mapping[str, torch.Tensor]"
    """Parameters, the optimizer's moments, averages and generators, by name."""
    numbers: Mapping[str, Any]
    """The rest, in JSON's types."""


class Keeper:
    """Keeps the state of one training in the store, by the key of what is trained.

    It is kept after `every` seconds, with 0 after each step.
    """

    def __init__(self, store: Store, key: str, every: float = _EVERY) -> None:
        self._store = store
        self._key = key
        self._every = every
        self._next = time.monotonic() + every

    @property
    def due(self) -> bool:
        """Whether it is time to keep the state."""
        return time.monotonic() >= self._next

    def keep(self, state: State) -> None:
        """Write the state in place of the one before; `EvidenceError` when that is impossible."""
        began = time.monotonic()
        self._store.fill(
            KIND,
            self._key,
            tensors.SUFFIX,
            lambda path: tensors.save(
                path, state.tensors, KIND, self._key, numbers=dict(state.numbers)
            ),
        )
        now = time.monotonic()
        self._next = now + (max(self._every, _WRITING * (now - began)) if self._every else 0)

    def kept(self) -> State | None:
        """The state that an interrupted training left; None where there is none."""
        load = partial(tensors.load, kind=KIND, key=self._key)
        found = self._store.load(KIND, self._key, tensors.SUFFIX, load)
        return None if found is None else State(found[0], found[1]["numbers"])

    def forget(self) -> None:
        """Remove the state: the training is over."""
        self._store.remove(KIND, self._key, tensors.SUFFIX)


class Training:
    """What changes from step to step: it is gathered into a state, or set back to one."""

    def __init__(
        self,
        trained: "Mapping[str, torch.nn.Parameter]",
        adamw: Any,
        average: Any,
        scaler: Any,
        generator: "torch.Generator",
        device: "torch.device",
    ) -> None:
        self._trained = trained
        self._adamw = adamw
        self._average = average
        self._scaler = scaler
        self._generator = generator
        self._device = device

    def state(self, batches: Batches, losses: Sequence[float], **numbers: Any) -> State:
        """The state after the last step."""
        import torch

        found: dict[str, torch.Tensor] = {
            "generator": self._generator.get_state(),
            "random/cpu": torch.get_rng_state(),
            "order": batches.order,
        }
        if self._device.type == "cuda":
            found["random/cuda"] = torch.cuda.get_rng_state(self._device)
        for name, parameter in self._trained.items():
            found[f"parameter/{name}"] = parameter.detach()
            for what, value in self._adamw.state[parameter].items():
                # bitsandbytes counts its steps in a number.
                found[f"adamw/{what}/{name}"] = torch.as_tensor(value)
        if self._average is not None:
            for name, shadow in zip(self._trained, self._average.shadow_params, strict=True):
                found[f"average/{name}"] = shadow
            numbers["averaged"] = self._average.optimization_step
        if self._scaler is not None:
            numbers["scaler"] = self._scaler.state_dict()
        return State(
            {name: tensor.cpu().clone().contiguous() for name, tensor in found.items()},
            {"losses": list(losses), "next": batches.next, **numbers},
        )

    def resumed(
        self, keeper: Keeper | None, batches: Batches, before: int, **numbers: Any
    ) -> list[float]:
        """Go on from a kept state that has these numbers; the losses of the steps before it.

        A state of `before` steps and more is not taken: what is still to be kept is behind it.
        """
        state = keeper.kept() if keeper is not None else None
        if (
            state is None
            or len(state.numbers["losses"]) >= before
            or any(state.numbers[name] != one for name, one in numbers.items())
        ):
            return []
        return self._set_back(state, batches)

    def _as(self, name: str, tensor: "torch.Tensor") -> "torch.Tensor":
        """A copy that lies in memory as its parameter does, as a fused optimizer requires."""
        import torch

        if tensor.shape != self._trained[name].shape:
            return tensor.clone()
        return torch.empty_like(self._trained[name], dtype=tensor.dtype).copy_(tensor)

    def _set_back(self, state: State, batches: Batches) -> list[float]:
        import torch

        found = state.tensors
        moments: dict[str, dict[str, torch.Tensor | int]] = {name: {} for name in self._trained}
        for key, tensor in found.items():
            if key.startswith("adamw/"):
                _, what, name = key.split("/", 2)
                # AdamW counts its steps on the CPU.
                place = "cpu" if what == "step" else self._device
                counted = what == "step" and not tensor.is_floating_point()
                moments[name][what] = int(tensor) if counted else self._as(name, tensor.to(place))
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(found[f"parameter/{name}"])
                self._adamw.state[parameter] = moments[name]
            if self._average is not None:
                for name, shadow in zip(self._trained, self._average.shadow_params, strict=True):
                    shadow.copy_(found[f"average/{name}"])
                self._average.optimization_step = state.numbers["averaged"]
        if self._scaler is not None:
            self._scaler.load_state_dict(dict(state.numbers["scaler"]))
        batches.order, batches.next = found["order"].clone(), state.numbers["next"]
        self._generator.set_state(found["generator"].clone())
        torch.set_rng_state(found["random/cpu"].clone())
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(found["random/cuda"].clone(), self._device)
        return list(state.numbers["losses"])
