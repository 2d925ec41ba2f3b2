"""Models with packed weights: loading them by diffusers' own quantiser, and what torch lacks.

torchao's packed tensors are subclasses of torch's, made of plain ones. They have no comparison, and
diffusers refuses to cast a model that holds some, whatever its other weights are.
"""

from typing import TYPE_CHECKING, Any

from spqr_tests.checkpoint.formats.quantised import Quantisation
from spqr_tests.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


def load(
    model: Any,
    quantisation: Quantisation,
    tensors: "Mapping[str, torch.Tensor]",
    dtype: "torch.dtype",
) -> None:
    """Put stored tensors into an empty model of diffusers, as its `from_pretrained` does.

    What is not packed becomes `dtype`, except what the class keeps in float32. Raises `InputError`
    when the quantiser leaves a weight out.
    """
    from diffusers.models.model_loading_utils import load_model_dict_into_meta
    from diffusers.quantizers import DiffusersAutoQuantizer

    kept = list(getattr(model, "_keep_in_fp32_modules", None) or ())
    quantiser = DiffusersAutoQuantizer.from_config(dict(quantisation.config), pre_quantized=True)
    quantiser.validate_environment(device_map=None)
    quantiser.preprocess_model(model=model, device_map=None, keep_in_fp32_modules=kept)
    # The metadata of the file that was checked, which its own way would read once more.
    quantiser._metadata = dict(quantisation.metadata)  # noqa: SLF001
    state = quantiser.maybe_update_state_dict(dict(tensors))
    load_model_dict_into_meta(
        model, state, dtype=dtype, hf_quantizer=quantiser, keep_in_fp32_modules=kept
    )
    quantiser.postprocess_model(model)
    empty = [name for name, one in model.named_parameters() if one.device.type == "meta"]
    plain = [name for name in quantisation.packed if not is_one(model.get_parameter(name))]
    if lost := empty + plain:
        raise InputError(
            f"diffusers' quantiser leaves {len(lost)} weights out, {lost[0]} first; the quantised"
            " weights must be those of its config."
        )


def is_one(tensor: "torch.Tensor") -> bool:
    """Whether a tensor is packed: made of plain ones."""
    return hasattr(tensor, "__tensor_flatten__")


def is_packed(model: Any) -> bool:
    """Whether a model holds packed weights."""
    return any(is_one(one) for one in model.parameters())


def inner(tensor: "torch.Tensor") -> "list[torch.Tensor]":
    """The plain tensors that a tensor is made of: itself, if it is one."""
    if not is_one(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()  # type: ignore[attr-defined]  # of subclasses alone
    return [getattr(tensor, name) for name in names]


def same(one: "torch.Tensor", other: "torch.Tensor") -> bool:
    """Whether two tensors are equal in each bit, after `other` was cast to the dtype of `one`."""
    import torch

    if is_one(one) != is_one(other):
        return False
    pairs = list(zip(inner(one), inner(other), strict=True))
    return all(torch.equal(mine, its.to(mine.dtype)) for mine, its in pairs)


def cast(model: Any, dtype: "torch.dtype") -> Any:
    """The model with its plain weights in `dtype`; packed ones compute in that of their input."""
    if not is_packed(model):
        return model.to(dtype=dtype)
    for one in (*model.parameters(), *model.buffers()):
        if not is_one(one) and one.is_floating_point():
            one.data = one.data.to(dtype)
    return model
