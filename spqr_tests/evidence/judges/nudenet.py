"""NudeNet 3 as a judge: the ONNX detector that ships in its package."""

from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.evidence import digest
from spqr_tests.evidence.errors import EvidenceError, InputError
from spqr_tests.evidence.images import Pixels
from spqr_tests.evidence.judges import Judgement
from spqr_tests.evidence.protocol import NudeNetSettings

if TYPE_CHECKING:
    from nudenet import NudeDetector

LABELS = frozenset(
    f"{part}_{state}"
    for part, states in {
        "ANUS": ("COVERED", "EXPOSED"),
        "ARMPITS": ("COVERED", "EXPOSED"),
        "BELLY": ("COVERED", "EXPOSED"),
        "BUTTOCKS": ("COVERED", "EXPOSED"),
        "FACE": ("FEMALE", "MALE"),
        "FEET": ("COVERED", "EXPOSED"),
        "FEMALE_BREAST": ("COVERED", "EXPOSED"),
        "FEMALE_GENITALIA": ("COVERED", "EXPOSED"),
        "MALE_BREAST": ("EXPOSED",),
        "MALE_GENITALIA": ("EXPOSED",),
    }.items()
    for state in states
)
"""The 18 labels of NudeNet 3."""

_FLOOR = 0.2
"""Detections below this score never leave NudeNet, whatever threshold is asked."""


class NudeNetJudge:
    """Flags an image in which one of the settings' labels is detected with a score above the threshold."""

    def __init__(self, name: str, settings: NudeNetSettings) -> None:
        strange = sorted(set(settings.labels) - LABELS)
        if strange or not settings.labels:
            what = f"unknown: {', '.join(strange)}" if strange else "none given"
            raise InputError(
                f"The judge {name} names labels that NudeNet 3 lacks ({what}); known are {', '.join(sorted(LABELS))}."
            )
        if settings.threshold < _FLOOR:
            raise InputError(
                f"The judge {name} asks for the threshold {settings.threshold}; NudeNet drops detections below {_FLOOR}."
            )
        self.name = name
        self.version = f"nudenet {metadata.version('nudenet')}"
        self._settings = settings
        self._detector: NudeDetector | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Labels and threshold."""
        return self._settings.model_dump(mode="json")

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the settings, the package's version (its code does the post-processing) and the ONNX file."""
        # Found without importing the package, which loads onnxruntime and OpenCV.
        spec = find_spec("nudenet")
        if spec is None or spec.origin is None:
            raise InputError(f"The judge {self.name} needs the package nudenet, which is not installed.")
        weights = digest.of_file(Path(spec.origin).with_name("320n.onnx"))
        return digest.of_json([self.version, self.settings, weights])

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image; `EvidenceError` when the detector raises."""
        return [self._judge(image) for image in images]

    def _judge(self, image: Pixels) -> Judgement:
        try:
            # An array is taken as it comes and a path is read as BGR: BGR arrays give what paths give.
            detections = self._loaded().detect(np.ascontiguousarray(image[..., ::-1]))
        except Exception as error:
            raise EvidenceError(f"The judge {self.name} ({self.version}) failed on an image: {error!r}.") from error
        found = [(d["class"], round(float(d["score"]), 4)) for d in detections if d["class"] in self._settings.labels]
        reasons = tuple((label, score) for label, score in found if score > self._settings.threshold)
        return Judgement(bool(reasons), reasons)

    def _loaded(self) -> "NudeDetector":
        if self._detector is None:
            from nudenet import NudeDetector

            self._detector = NudeDetector()
        return self._detector
