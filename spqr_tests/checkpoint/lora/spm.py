"""Adapters that their authors scale anew for each prompt: SPM, and what ACE's trainer saves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite

from spqr_tests import quotes
from spqr_tests.checkpoint.formats.tensor import TensorFile
from spqr_tests.checkpoint.lora.modules import Module
from spqr_tests.checkpoint.lora.update import Lora, Update
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.checkpoint.prompt_scaled import PromptScaled
from spqr_tests.checkpoint.strengths import MERGE, PROMPT
from spqr_tests.errors import InputError

_METADATA = ("prompts", "rank", "alpha")
# SPM changes every linear layer of the UNet's transformers.
_EACH_BLOCK = ("attn1_to_q", "attn2_to_k", "ff_net_2")
_ROUNDED = 0.01
"""How far the alpha of a file in half precision may be from the metadata's, relatively."""


@dataclass(frozen=True)
class Spm:
    """What an adapter file was recognised as."""

    scaled: PromptScaled | None
    """The adapter, to be scaled by the prompt; None for one that is merged."""
    note: str
    """What a reader must know, as a phrase that follows 'it is'."""


def recognised(
    file: TensorFile,
    modules: Sequence[Module],
    names: str,
    lora: Lora,
    parts: Parts,
    mode: str = "",
) -> Spm | None:
    """An adapter whose authors scale it by the prompt; None for any other one.

    SPM's trainer saves kohya's names for the UNet alone, and as metadata the erased prompts, joined
    by commas, the rank and the alpha (`train_spm.py`). ACE's is derived from it and saves the same.
    `mode` is 'merge', 'prompt' or '': what was asked for after the path's '@'. `InputError` where
    nobody can tell which of the two a file is or what its prompts are, and for a base on which the
    authors' code does not run.
    """
    metadata: Mapping[str, str] = getattr(file, "metadata", {})
    if not _has_metadata(metadata):
        if not _looks_like_one(modules, names, metadata):
            return None
        if mode == PROMPT:
            raise _refused(file, "has no metadata that names the erased prompts", merge=True)
        return Spm(
            None,
            "of rank 1 and without metadata: if it is an SPM, its authors scale it by how similar"
            " each prompt is to the erased ones; this run merges it at strength 1 for every prompt",
        )
    if mode == MERGE:
        return Spm(
            None,
            "an SPM or an ACE adapter: this run merges it at strength 1 for every prompt, as"
            " @merge asks, and does not scale it by the prompt",
        )
    if not parts.backbone.scaled_by_prompt:
        raise _refused(
            file,
            "is scaled by the prompt, which its authors' code does for Stable Diffusion 1.x and 2.x"
            f" alone, and this base is {parts.backbone.name}",
            merge=True,
        )
    prompts = _prompts(file, metadata)
    rank, alpha = _numbers(file, metadata)
    _require_fit(file, modules, rank)
    updates = _low_rank(file, lora, rank, alpha)
    if rank != 1 and mode != PROMPT:
        raise InputError(
            f"--spqr-overlay {file.path} may be an SPM, which its authors scale by the prompt, or"
            " an ACE adapter, which its authors use at strength 1 for every prompt: both save the"
            f" same metadata, and its rank is {rank} (by default SPM's is 1, ACE's is 4). Write"
            f" {file.path.name}@{PROMPT} for the first, {file.path.name}@{MERGE} for the second."
        )
    scaled = PromptScaled(file.path, prompts, rank, alpha / rank, updates)
    _require_alike(parts.scaled, scaled)
    listed = ", ".join(quotes.shown(prompt) for prompt in prompts)
    return Spm(
        scaled,
        f"an SPM of {listed}: scaled for each prompt by its similarity to what is erased, as its"
        " authors' infer_spm.py does",
    )


def _has_metadata(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata are of SPM's trainer, perhaps in part.

    LECO, from which it is derived, saves `prompts` and `config`, kohya's trainer `ss_...`.
    """
    own = metadata.keys() & {"rank", "alpha"}
    kohyas = any(key.startswith("ss_") for key in metadata)
    return "prompts" in metadata and bool(own) and not kohyas


def _looks_like_one(modules: Sequence[Module], names: str, metadata: Mapping[str, str]) -> bool:
    unet = names == "kohya's" and all(module.named.startswith("lora_unet_") for module in modules)
    whole = all(any(module.named.endswith(part) for module in modules) for part in _EACH_BLOCK)
    return unet and not metadata and whole and all(module.rank == 1 for module in modules)


def _prompts(file: TensorFile, metadata: Mapping[str, str]) -> tuple[str, ...]:
    prompts = tuple(metadata["prompts"].split(","))
    if not all(prompt.strip() for prompt in prompts):
        raise _refused(
            file,
            f"names the erased prompts {quotes.shown(metadata['prompts'])}, of which one, between"
            " commas, is empty",
        )
    return prompts


def _numbers(file: TensorFile, metadata: Mapping[str, str]) -> tuple[int, float]:
    """Rank and alpha, as `infer_spm.py` reads them; an alpha of 0 is the rank."""
    found = []
    for key in _METADATA[1:]:
        try:
            value = float(metadata[key])
        except KeyError:
            raise _refused(file, f"has SPM's metadata without {key}") from None
        except ValueError:
            value = float("nan")
        if not isfinite(value) or value < 0:
            raise _refused(
                file, f"says in its metadata that its {key} is {quotes.shown(metadata[key])}"
            )
        found.append(value)
    rank, alpha = int(found[0]), found[1]
    if rank < 1:
        raise _refused(file, f"says in its metadata that its rank is {metadata['rank']}")
    return rank, alpha or float(rank)


def _require_fit(file: TensorFile, modules: Sequence[Module], rank: int) -> None:
    """`InputError` unless the tensors have the names that the trainer gives them, and the rank."""
    for module in modules:
        if not module.named.startswith("lora_unet_"):
            raise _refused(
                file,
                f"has SPM's metadata and holds {module.named}, which its trainer does not save",
            )
        if module.rank != rank:
            raise _refused(
                file,
                f"says in its metadata that its rank is {rank}, and that of {module.named} is"
                f" {module.rank}",
            )


def _low_rank(file: TensorFile, lora: Lora, rank: int, alpha: float) -> tuple[Update, ...]:
    """The updates; `InputError` for one of another kind, or with another alpha."""
    found = []
    for update in lora.updates:
        if not isinstance(update, Update):
            raise _refused(
                file,
                f"has SPM's metadata and changes {update.names[0]} otherwise than by a product of"
                " two matrices",
            )
        if not isclose(update.scale * rank, alpha, rel_tol=_ROUNDED):
            raise _refused(
                file,
                f"says in its metadata that its alpha is {alpha:g}, and that of {update.tensor} is"
                f" {update.scale * rank:g}",
            )
        found.append(update)
    return tuple(found)


def _require_alike(earlier: Sequence[PromptScaled], scaled: PromptScaled) -> None:
    """`InputError` for SPMs that `infer_spm.py` cannot add up."""
    for other in earlier[:1]:
        for what, one, two in (
            ("rank", other.rank, scaled.rank),
            ("alpha", other.scale * other.rank, scaled.scale * scaled.rank),
            ("layers", other.tensors, scaled.tensors),
        ):
            if one != two:
                raise InputError(
                    f"--spqr-overlay {scaled.path} and {other.path} are SPMs of different {what},"
                    " which their authors' code does not use together; leave one of them out."
                )


def _refused(file: TensorFile, why: str, *, merge: bool = False) -> InputError:
    damaged = "" if merge else "its metadata are damaged: take the file as its trainer saved it, or"
    return InputError(
        f"--spqr-overlay {file.path} {why}; {damaged}{' ' if damaged else ''}write"
        f" {file.path.name}@{MERGE} to measure it at strength 1 for every prompt."
    )
