"""Text encoders that are trained together with the denoiser: their LoRA, and captions in a step."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.backbones.backbone import Backbone
from spqr_tests.errors import EvidenceError
from spqr_tests.generation import lora, textual_inversion
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings

if TYPE_CHECKING:
    import torch

SEPARATOR = "/"
"""Between the component and the parameter in the name of what is trained; a denoiser's
parameters have no component.
"""


def chosen(pipeline: Any, backbone: Backbone, profile: ProfileSettings) -> tuple[str, ...]:
    """The components that a profile trains beside the denoiser, in the backbone's order."""
    settings = profile.text_encoder
    if settings is None:
        return ()
    wanted = settings.encoders or backbone.clip_encoders
    return tuple(
        name for name in backbone.models if name in wanted and getattr(pipeline, name) is not None
    )


def belonging(
    tensors: "Mapping[str, torch.Tensor]", component: str | None
) -> "dict[str, torch.Tensor]":
    """The trained tensors of a component, by the names that it has for them; None: denoiser."""
    if component is None:
        return {name: one for name, one in tensors.items() if SEPARATOR not in name}
    start = component + SEPARATOR
    return {
        name.removeprefix(start): one for name, one in tensors.items() if name.startswith(start)
    }


class TextEncoders:
    """Copies of a pipeline's text encoders, ready for training; the pipeline stays as it was.

    The parameters that are trained are float32, the others have the dtype `frozen`.
    """

    def __init__(
        self, pipeline: Any, backbone: Backbone, profile: ProfileSettings, *, frozen: "torch.dtype"
    ) -> None:
        self._original = pipeline
        self._backbone = backbone
        self._settings = profile.text_encoder
        self._tokenizers: dict[str, Any] = {}
        self._inversion = profile.inversion
        self.models: dict[str, Any] = {
            name: _trainable(getattr(pipeline, name), profile, name, frozen)
            for name in chosen(pipeline, backbone, profile)
        }
        if self._inversion is not None:
            made = textual_inversion.prepared(pipeline, backbone, self._inversion)
            self.models = {name: one for name, one in made.items() if name in backbone.models}
            self._tokenizers = {name: made[name] for name in made.keys() - self.models.keys()}
        self._pipeline = pipeline
        if self.models:
            self._pipeline = copy.copy(pipeline)
            self._pipeline.register_modules(**self.models | self._tokenizers | self._remembering())

    @property
    def trained(self) -> "dict[str, torch.nn.Parameter]":
        """What is trained, by component and name."""
        if self._inversion is not None:
            return {
                f"{component}{SEPARATOR}{textual_inversion.PARAMETER}": textual_inversion.row(model)
                for component, model in self.models.items()
            }
        return {
            f"{component}{SEPARATOR}{name}": parameter
            for component, model in self.models.items()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    def groups(
        self, denoisers: "Mapping[str, torch.nn.Parameter]", optimizer: OptimizerSettings
    ) -> list[dict[str, Any]]:
        """The optimizer's groups: the denoiser's parameters, and these with a rate of their own."""
        own = self._settings.learning_rate if self._settings is not None else None
        groups: list[dict[str, Any]] = [{"params": list(denoisers.values())}] if denoisers else []
        if self.models:
            rate = own or optimizer.learning_rate
            groups.append({"params": list(self.trained.values()), "lr": rate})
        return groups

    def captions(self, count: int, generator: "torch.Generator") -> list[str] | None:
        """Captions with the new word of a textual inversion; None for the pictures' own."""
        if self._inversion is None:
            return None
        return textual_inversion.captions(self._inversion, count, generator)

    def require_frozen(
        self, require: "Callable[[Any, Any, Mapping[str, torch.Tensor]], None]"
    ) -> None:
        """Have `require` compare each with the pipeline's own, but for what is trained."""
        for name, model in self.models.items():
            if self._inversion is not None:
                known = model.get_input_embeddings().known
                require(getattr(self._original, name).get_input_embeddings(), known, {})
                continue
            require(getattr(self._original, name), model, belonging(self.trained, name))

    def embed(self, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        """Text embeddings as the backbone has them, float32; gradients flow."""
        embedded = self._backbone.embed(self._pipeline, texts)
        return {name: tensor.float() for name, tensor in embedded.items()}

    def train(self, *, checkpointing: bool) -> None:
        """Make them ready for training, with `checkpointing` in less memory."""
        for model in self.models.values():
            model.train()
            if checkpointing:
                model.gradient_checkpointing_enable({"use_reentrant": False})

    def _remembering(self) -> dict[str, Any]:
        """T5, which nobody trains and which takes longer than all the rest."""
        return {
            name: _remembered(model)
            for name in self._backbone.models
            if name not in self.models
            and type(model := getattr(self._original, name, None)).__name__ == "T5EncoderModel"
        }


def _remembered(encoder: Any) -> Any:
    """A frozen text encoder that encodes each text once.

    Each alone: what a text becomes does not depend on the batch that it is first seen in.
    """
    import torch

    class Remembered(torch.nn.Module):
        """T5 with what it said of each text, on the CPU."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.known: dict[bytes, torch.Tensor] = {}
            self.dtype, self.device = encoder.dtype, encoder.device

        def forward(self, tokens: "torch.Tensor", **_: Any) -> "tuple[torch.Tensor]":
            """The embeddings (n, tokens, width), as the encoder's first output."""
            # The meta device, on which FLOPs are counted, has shapes alone.
            kept = "meta" if tokens.is_meta else "cpu"
            rows = []
            for row in tokens:
                key = b"" if tokens.is_meta else row.cpu().numpy().tobytes()
                if key not in self.known:
                    with torch.no_grad():
                        self.known[key] = self.encoder(row[None])[0][0].to(kept)
                rows.append(self.known[key])
            return (torch.stack(rows).to(self.device),)

    return Remembered()


def apply(
    pipeline: Any,
    backbone: Backbone,
    profile: ProfileSettings,
    tensors: "Mapping[str, torch.Tensor]",
) -> dict[str, Any]:
    """Copies of the text encoders with what was trained of them merged, by component.

    With a textual inversion, tokenizers too.
    """
    if profile.inversion is not None:
        return textual_inversion.apply(pipeline, backbone, profile.inversion, tensors)
    found = {}
    for name in chosen(pipeline, backbone, profile):
        original = getattr(pipeline, name)
        model = _trainable(original, profile, name, original.dtype)
        own = belonging(tensors, name)
        expected = {one for one, weight in model.named_parameters() if weight.requires_grad}
        if own.keys() != expected:
            raise EvidenceError(
                "The stored weights of a fine-tune do not fit the profile that they are stored for:"
                f" {name}'s {min(own.keys() ^ expected)} is on one side alone."
            )
        model.load_state_dict(own, strict=False)
        lora.merge(model)
        found[name] = model.to(original.device, original.dtype).eval().requires_grad_(False)
    return found


def _trainable(encoder: Any, profile: ProfileSettings, name: str, frozen: "torch.dtype") -> Any:
    import torch

    model = copy.deepcopy(encoder).to(dtype=frozen).requires_grad_(False)
    lora.add(model, lora.of_text_encoder(profile), name)
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in parameter_name)
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    return model.to(encoder.device)
