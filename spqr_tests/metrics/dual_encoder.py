"""Dual encoders: open_clip models that embed images and texts in one space."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from spqr_tests import files
from spqr_tests.checkpoint import text_reader
from spqr_tests.checkpoint.text_reader import TextReader
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.store import digest, libraries
from spqr_tests.store.computing import computing, exact
from spqr_tests.store.images import Pixels

_BATCH = 16
"""Rows of every batch: the last bits depend on it, and short ones are filled up."""
T = TypeVar("T")
_LOCAL = "local-dir:"
_CONTEXT = 77
"""open_clip's default."""
Embeddings = NDArray[np.float32]
"""Shape (n, width), rows of length 1."""


class DualEncoder:
    """An open_clip model by name and pretrained tag, or by folder (`local-dir:FOLDER`).

    It is loaded when first used.
    """

    discrepancy: Literal["kid", "cmmd"] = "cmmd"

    def __init__(self, name: str, pretrained: str | None, device: str) -> None:
        self.name = name
        self.pretrained = pretrained
        self._device = device
        if self.folder is not None and not (self.folder / "open_clip_config.json").is_file():
            raise InputError(f"The encoder {name} is not a folder with open_clip_config.json.")
        if self.folder is None and not pretrained:
            raise InputError(
                f"The encoder {name} needs a pretrained tag beside it; an untrained model measures"
                " nothing."
            )

    @property
    def version(self) -> str:
        """The library and its version."""
        return f"open_clip {metadata.version('open_clip_torch')}"

    @property
    def features(self) -> str:
        """What the embeddings are, for reports; of a folder its name."""
        own = f"{self.name}/{self.pretrained}" if self.folder is None else self.folder.name
        return f"{own}, {self.version}"

    @property
    def folder(self) -> Path | None:
        """Where its weights are; None for a published model."""
        return Path(self.name.removeprefix(_LOCAL)) if self.name.startswith(_LOCAL) else None

    @cached_property
    def reader(self) -> TextReader | None:
        """How its text encoder reads; None for a tokenizer that only open_clip can load."""
        config = self._text_config
        limit = config.get("context_length", _CONTEXT)
        if self.folder is not None and (self.folder / "tokenizer.json").is_file():
            return text_reader.of_file(self.name, limit, self.folder / "tokenizer.json")
        if config.get("hf_tokenizer_name") or config.get("hf_model_name") or not config:
            return None
        return text_reader.of_clip(self.name, limit)

    @property
    def _text_config(self) -> Mapping[str, Any]:
        """`text_cfg` of the model's config; empty where it is on the hub."""
        if self.folder is not None:
            table = files.json_object(self.folder / "open_clip_config.json").get("model_cfg")
        else:
            spec = find_spec("open_clip")  # not imported: it imports torch
            places = (spec and spec.submodule_search_locations) or [""]
            path = Path(places[0]) / "model_configs" / f"{self.name.replace('/', '-')}.json"
            table = files.json_object(path) if path.is_file() else {}
        found = table.get("text_cfg") if isinstance(table, dict) else None
        return found if isinstance(found, dict) else {}

    @cached_property
    def fingerprint(self) -> str:
        """Digest of a folder's files, or of a published model's name and tag.

        open_clip resolves those to fixed weights.
        """
        return self._content()

    def _content(self) -> str:
        if self.folder is None:
            return digest.of_json([self.version, self.name, self.pretrained])
        files = digest.of_files(
            self.folder, [path for path in self.folder.rglob("*") if path.is_file()]
        )
        return digest.of_json([self.version, files])

    @property
    def computed_with(self) -> Mapping[str, Any]:
        """The libraries behind the model, and the shape of batches."""
        return {"batch": _BATCH, **libraries.minor(("torch", "torchvision", "pillow"))}

    @property
    def logit_scale(self) -> float:
        """The trained inverse temperature of the softmax over cosines."""
        return float(self._loaded[0].logit_scale.exp())

    def embed_images(self, images: Sequence[Pixels]) -> Embeddings:
        """Normalised embeddings of RGB images (height, width, 3), uint8, with its preprocessing."""
        import torch
        from PIL import Image

        model, preprocess, _ = self._loaded
        parts = []
        for start in range(0, len(images), _BATCH):
            with computing(self._device), exact(), torch.inference_mode():
                # One by one: a user's pictures may be large before they are resized.
                rows = [
                    preprocess(Image.fromarray(images[position]))
                    for position in range(start, min(start + _BATCH, len(images)))
                ]
                pixels = torch.stack(_filled(rows)).to(self._device)
                made = model.encode_image(pixels, normalize=True)
                parts.append(made.float().cpu().numpy()[: len(rows)])
        return self._checked(np.concatenate(parts), "an image")

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Normalised embeddings of texts, cut at the model's context length."""
        import torch

        model, _, tokenizer = self._loaded
        parts = []
        for start in range(0, len(texts), _BATCH):
            rows = list(texts[start : start + _BATCH])
            with computing(self._device), exact(), torch.inference_mode():
                tokens = tokenizer(_filled(rows)).to(self._device)
                made = model.encode_text(tokens, normalize=True)
                parts.append(made.float().cpu().numpy()[: len(rows)])
        return self._checked(np.concatenate(parts), "a text")

    def _checked(self, embeddings: Embeddings, what: str) -> Embeddings:
        if not np.isfinite(embeddings).all():
            raise EvidenceError(
                f"The encoder {self.name} gave {what} an embedding that is not finite."
            )
        return embeddings

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        with computing(self._device):
            return self._load()

    def _load(self) -> tuple[Any, Any, Any]:
        import open_clip

        known = self.fingerprint
        pretrained = None if self.folder is not None else self.pretrained
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(
                self.name,
                pretrained=pretrained,
                device=self._device,
                precision="fp32",
                force_quick_gelu=quick_gelu(self.name, pretrained),
            )
            tokenizer = open_clip.get_tokenizer(self.name)
        except Exception as error:  # open_clip and its hub client raise anything
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise EvidenceError(
                f"The encoder {self.name} ({pretrained or 'from its folder'}) could not be loaded:"
                f" {reason}"
            ) from error
        if self._content() != known:
            raise InputError(
                f"The encoder {self.name} was replaced after the run began: its files are not"
                " those that it is known by. Run again."
            )
        return model.eval().requires_grad_(False), preprocess, tokenizer


def _filled(rows: list[T]) -> list[T]:
    """A batch of the one shape: the last row is repeated."""
    return [*rows, *[rows[-1]] * (_BATCH - len(rows))]


def quick_gelu(name: str, pretrained: str | None) -> bool:
    """Whether weights were trained with QuickGELU and their name's model has another activation.

    So it is with ViT-B-32 and OpenAI's weights; open_clip warns, and embeds with the wrong one.
    """
    from open_clip import get_model_config
    from open_clip.pretrained import get_pretrained_cfg

    if pretrained is None:
        return False
    tag = get_pretrained_cfg(name.replace("/", "-"), pretrained) or {}
    return bool(tag.get("quick_gelu")) and not (get_model_config(name.replace("/", "-")) or {}).get(
        "quick_gelu"
    )


class DualEncoders:
    """The encoders of a session, each loaded once.

    One may serve as judge, as CLIP score and as FID features.
    """

    def __init__(self, device: str, resolve: Callable[[str], str]) -> None:
        self._device = device
        self._resolve = resolve
        self._made: dict[tuple[str, str | None], DualEncoder] = {}

    def get(self, name: str, pretrained: str | None) -> DualEncoder:
        """The encoder of this name, as a protocol gives it, and tag."""
        resolved = self._resolve(name)
        # A folder has its own weights, so that a tag beside it means nothing.
        pretrained = None if resolved.startswith(_LOCAL) else pretrained
        return self._made.setdefault(
            (resolved, pretrained), DualEncoder(resolved, pretrained, self._device)
        )
