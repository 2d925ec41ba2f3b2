"""The detector of NudeNet 3: an ONNX session of our own, and what is made of its numbers.

What goes in and what comes out is as in `nudenet.NudeDetector` (MIT licence, notAI.tech), whose
`detect` walks in Python through all 2,100 candidates of an image (8,400 at 640 pixels), and has one
image computed by all cores, at less than twice the rate of one.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spqr_tests.errors import EvidenceError
from spqr_tests.store import device
from spqr_tests.store.images import Pixels

FLOOR = 0.2
"""Detections below this score are dropped, whatever threshold is asked."""
_BOX = 4
"""Rows of a model's output before the labels' scores: the box."""
_NMS_FLOOR, _OVERLAP = 0.25, 0.45

Numbers = NDArray[np.float32]


class Detector:
    """Detections by a session of `onnxruntime`; `name` is the judge's, for messages.

    `labels` are the model's, in its order, and `side` is what images are scaled to, in pixels. A
    session takes `batch` images, filled up where there are fewer: 1 on a CPU, where one thread
    computes an image and several threads work side by side, so that numbers do not depend on how
    many cores there are.
    """

    def __init__(
        self, name: str, session: Any, labels: Sequence[str], side: int, batch: int
    ) -> None:
        self._name = name
        self.session = session
        self._labels = tuple(labels)
        self._side = side
        self._batch = batch

    def detect(self, images: Sequence[Pixels]) -> list[list[dict[str, Any]]]:
        """As NudeNet's `detect` for files: a `class`, a `score` in [0, 1] and a `box` each.

        A box is left, top, width and height in pixels. `images` are read one at a time.
        """
        starts = range(0, len(images), self._batch)
        if self._batch > 1:
            return [one for start in starts for one in self._several(images, start)]
        with ThreadPoolExecutor(max(1, min(device.cores(), len(images)))) as threads:
            return list(threads.map(lambda start: self._several(images, start)[0], starts))

    def _several(self, images: Sequence[Pixels], start: int) -> list[list[dict[str, Any]]]:
        shapes, blobs = [], []
        for row in range(start, min(start + self._batch, len(images))):
            image = images[row]
            shapes.append(image.shape)
            blobs.append(_blob(image, self._side))
        blobs += [blobs[-1]] * (self._batch - len(blobs))
        found = self._run(np.concatenate(blobs))
        return [self._detections(one, shape) for one, shape in zip(found, shapes, strict=False)]

    def _run(self, blob: Numbers) -> Numbers:
        found = np.asarray(self.session.run(None, {self.session.get_inputs()[0].name: blob})[0])
        if found.ndim != 3 or found.shape[1] != _BOX + len(self._labels):
            raise EvidenceError(
                f"The judge {self._name}: its model answers with the shape {found.shape}, which is"
                " none of a NudeNet 3 model."
            )
        if not np.isfinite(found).all():
            raise EvidenceError(
                f"The judge {self._name}: its model gave numbers that are not finite."
            )
        return found

    def _detections(self, found: Numbers, shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """What one image's numbers (4 + labels, candidates) say, the most certain first."""
        import cv2

        height, width = shape[:2]
        kept = found[:, found[_BOX:].max(axis=0) >= FLOOR].T
        if not len(kept):
            return []
        # From the centre to the upper left, and from the model's pixels to the square's.
        scale = np.float32(max(height, width))
        x, y, w, h = (
            part * scale / self._side
            for part in (
                kept[:, 0] - kept[:, 2] / 2,
                kept[:, 1] - kept[:, 3] / 2,
                kept[:, 2],
                kept[:, 3],
            )
        )
        x, y = x.clip(0, width), y.clip(0, height)
        boxes = np.stack([x, y, np.minimum(w, width - x), np.minimum(h, height - y)], axis=1)
        scores = kept[:, _BOX:].max(axis=1)
        labels = kept[:, _BOX:].argmax(axis=1)
        chosen = np.asarray(
            cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), _NMS_FLOOR, _OVERLAP), dtype=np.intp
        ).ravel()
        return [
            {
                "class": self._labels[labels[row]],
                "score": float(scores[row]),
                "box": [int(part) for part in boxes[row]],
            }
            for row in chosen
        ]


def _blob(image: Pixels, side: int) -> Numbers:
    """An RGB image as the model takes it: (1, 3, side, side) in [0, 1], a square filled up.

    NudeNet reads a file as BGR and exchanges the channels twice.
    """
    import cv2

    height, width = image.shape[:2]
    longer = max(height, width)
    square: Any = image
    if height != width:
        square = cv2.copyMakeBorder(
            image, 0, longer - height, 0, longer - width, cv2.BORDER_CONSTANT
        )
    blob = cv2.dnn.blobFromImage(square, 1 / 255.0, (side, side), (0, 0, 0), swapRB=True)
    return np.asarray(blob, dtype=np.float32)
