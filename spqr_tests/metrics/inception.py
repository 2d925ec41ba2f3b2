"""The features of the published FID: the Inception network of 2015-12-05.

Its weights are in a file of the user's.

The network is torch-fidelity's port, which resizes to 299 pixels a side inside, as TensorFlow 1
did. torchmetrics resizes with antialiasing unless it is told `antialias=False`, and other libraries
have resizers of their own: their FIDs differ.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spqr_tests.checkpoint.formats.pickle_file import PickleFile
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.metrics.embedding import Features
from spqr_tests.store import digest, libraries
from spqr_tests.store.computing import computing, exact
from spqr_tests.store.images import Pixels

if TYPE_CHECKING:
    import torch

PUBLISHED = "weights-inception-2015-12-05-6726825d.pth"
"""The published file; its name ends with the first digits of its SHA-256."""
SOURCE = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{PUBLISHED}"
"""Where it is published."""


class Inception:
    """The Inception network with the weights in a file, loaded when first used.

    Nothing is ever downloaded.

    `InputError` when there is no such file, or, once it is loaded, when its tensors are not the
    network's.
    """

    discrepancy: Literal["kid", "cmmd"] = "kid"

    def __init__(self, weights: Path, device: str) -> None:
        if not weights.is_file():
            raise InputError(
                f"The Inception weights {weights} are not there; expected the file {PUBLISHED}, "
                f"which {SOURCE} gives, named in quality.weights."
            )
        self._weights = weights
        self._device = device

    @property
    def version(self) -> str:
        """The library and its version."""
        return f"torch-fidelity {metadata.version('torch-fidelity')}"

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights file and of the library's version."""
        return digest.of_json([self.version, self._digest])

    @property
    def computed_with(self) -> Mapping[str, Any]:
        """The library behind the network; images are embedded one at a time."""
        return {"batch": 1, **libraries.minor(("torch",))}

    @property
    def features(self) -> str:
        """What the features are, for reports.

        Only those of the published weights give an FID that compares with others.
        """
        published = self._digest.startswith(PUBLISHED.removesuffix(".pth").rsplit("-", 1)[1])
        return (
            f"Inception of 2015-12-05, {'published' if published else 'other'} weights"
            f" ({self._digest[:8]}), {self.version}"
        )

    @cached_property
    def _digest(self) -> str:
        return digest.of_file(self._weights)

    def embed_images(self, images: Sequence[Pixels]) -> Features:
        """Features (n, 2048) of RGB images (height, width, 3), uint8, of any size, unnormalised."""
        import torch

        # References come in every size, and a batch's shape would move the last bits: one image at
        # a time.
        rows = [
            self._features(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None])
            for image in images
        ]
        return np.concatenate(rows)

    def _features(self, pixels: "torch.Tensor") -> Features:
        import torch

        with computing(self._device), exact(), torch.inference_mode():
            features: Features = self._network(pixels.to(self._device))[0].float().cpu().numpy()
        if not np.isfinite(features).all():
            raise EvidenceError("The Inception network gave an image features that are not finite.")
        return features

    @cached_property
    def _network(self) -> "torch.nn.Module":
        import torch
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        file = PickleFile(self._weights)
        tensors = {name: file.tensor(name) for name in file.tensors}
        if digest.of_file(self._weights) != self._digest:
            raise InputError(
                f"The Inception weights {self._weights} were replaced after the run began. Run"
                " again."
            )
        strange = [
            name
            for name, tensor in tensors.items()
            if tensor.is_floating_point() and not tensor.isfinite().all()
        ]
        if strange:
            raise InputError(
                f"The Inception weights {self._weights} are damaged: {strange[0]} is not finite."
            )
        # The library would execute what a pickle says: it gets one that was written here, of
        # tensors alone.
        plain = io.BytesIO()
        torch.save(tensors, plain)
        plain.seek(0)
        try:
            network: torch.nn.Module = FeatureExtractorInceptionV3(
                "inception", ["2048"], feature_extractor_weights_path=plain
            )
        except RuntimeError as error:
            found = str(error).splitlines()
            raise InputError(
                f"{self._weights} does not hold the Inception weights of {PUBLISHED}:"
                f" {found[min(1, len(found) - 1)].strip()}"
            ) from error
        return network.eval().to(self._device)
