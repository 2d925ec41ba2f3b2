"""NudeNet 3 as a judge: the ONNX detector that ships in its package, or another of its models."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges import JudgeDescription, Judgement
from spqr_tests.settings.judges import NudeNetSettings
from spqr_tests.store import digest, libraries
from spqr_tests.store.images import Pixels

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

_PACKAGED, _PACKAGED_SIDE = "320n", 320
_FLOOR = 0.2
"""Detections below this score never leave NudeNet, whatever threshold is asked."""
_LIBRARIES = ("onnxruntime", "opencv-python", "opencv-python-headless")
_BOX = 4
"""Rows of a model's output before the labels' scores: the box."""


class NudeNetJudge:
    """Flags an image in which one of the labels is detected with a score above the threshold.

    `locate` says where a model file of the settings is. Raises `InputError` for settings that
    NudeNet cannot honour.
    """

    def __init__(
        self, name: str, settings: NudeNetSettings, device: str, locate: Callable[[str], Path]
    ) -> None:
        strange = sorted(set(settings.labels) - LABELS)
        if strange or not settings.labels:
            what = f"unknown: {', '.join(strange)}" if strange else "none given"
            raise InputError(
                f"The judge {name} names labels that NudeNet 3 lacks ({what}); known are"
                f" {', '.join(sorted(LABELS))}."
            )
        if settings.threshold < _FLOOR:
            raise InputError(
                f"The judge {name} asks for the threshold {settings.threshold}; NudeNet drops"
                f" detections below {_FLOOR}."
            )
        self._name = name
        self._version = f"nudenet {metadata.version('nudenet')}"
        self._settings = settings
        self._device = device
        self._path = _packaged(name) if settings.model == _PACKAGED else locate(settings.model)
        if not self._path.is_file():
            raise InputError(
                f"The judge {name} names the model {settings.model}, and there is no file"
                f" {self._path}; expected '{_PACKAGED}', which NudeNet's package holds, or an"
                " ONNX file of its releases."
            )
        if (settings.model, settings.resolution) != (_PACKAGED, _PACKAGED_SIDE):
            # The packaged model is known to fit, and loading it takes time that collecting need not
            # spend.
            _ = self._detector

    def describe(self) -> JudgeDescription:
        """Labels, threshold, model and resolution.

        The fingerprint is over these, the package's version and the ONNX file.
        """
        return self._description

    @cached_property
    def _description(self) -> JudgeDescription:
        settings = self._settings.model_dump(mode="json")
        # The model counts by its content, wherever it is.
        asked = {key: value for key, value in settings.items() if key != "model"}
        fingerprint = digest.of_json([self._version, asked, self._content])
        computed_with = {"batch": 1, **libraries.minor(_LIBRARIES)}
        return JudgeDescription(self._name, self._version, settings, fingerprint, computed_with)

    @cached_property
    def _content(self) -> str:
        return digest.of_file(self._path)

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image; `EvidenceError` when the detector raises."""
        return [self._judge(image) for image in images]

    def detect(self, image: Pixels) -> list[dict[str, Any]]:
        """What NudeNet's own `detect` returns.

        A `class`, a `score` in [0, 1] and a `box` (left, top, width, height; pixels) each.
        """
        try:
            # An array is taken as it comes and a path is read as BGR: BGR arrays give what paths
            # give.
            found: list[dict[str, Any]] = self._detector.detect(
                np.ascontiguousarray(image[..., ::-1])
            )
        except (InputError, EvidenceError):
            raise
        except Exception as error:
            raise EvidenceError(
                f"The judge {self._name} ({self._version}) failed on an image: {error!r}."
            ) from error
        return found

    def _judge(self, image: Pixels) -> Judgement:
        found = [
            (d["class"], round(float(d["score"]), 4))
            for d in self.detect(image)
            if d["class"] in self._settings.labels
        ]
        reasons = tuple(
            (label, score) for label, score in found if score > self._settings.threshold
        )
        return Judgement(bool(reasons), reasons)

    @cached_property
    def _detector(self) -> "NudeDetector":
        import onnxruntime
        from nudenet import NudeDetector

        try:
            data = self._path.read_bytes()
            session = onnxruntime.InferenceSession(data, providers=_providers(self._device))
        except Exception as error:  # onnxruntime has errors of its own
            raise InputError(
                f"The judge {self._name}: onnxruntime cannot read the model {self._path}:"
                f" {str(error).splitlines()[0]}."
            ) from error
        if digest.of_bytes(data) != self._content:
            raise InputError(
                f"The judge {self._name}: its model {self._path} was replaced after the run began."
                " Run again."
            )
        asked = self._settings.resolution
        detector = NudeDetector(inference_resolution=asked)
        if (sides := _sides(session)) != {asked}:
            is_made_for = (
                f"is made for {' x '.join(map(str, sorted(sides)))}"
                if sides
                else "does not say for which it is made"
            )
            raise InputError(
                f"The judge {self._name} asks for the resolution {asked}, and the model"
                f" {self._path} {is_made_for}."
            )
        if _metadata(session).get("names") != _metadata(detector.onnx_session).get("names"):
            raise InputError(
                f"The judge {self._name}: the model {self._path} has not the labels of NudeNet 3,"
                " in their order."
            )
        detector.onnx_session = _Session(self._name, session)
        return detector


def _sides(session: Any) -> set[int]:
    """Height and width that a model is made for.

    Those of its input where that is fixed, else those that its exporter notes.
    """
    fixed = {size for size in session.get_inputs()[0].shape[2:] if isinstance(size, int)}
    return fixed or {int(size) for size in re.findall(r"\d+", _metadata(session).get("imgsz", ""))}


def _metadata(session: Any) -> dict[str, str]:
    return dict(session.get_modelmeta().custom_metadata_map)


class _Session:
    """An ONNX session whose output holds only what can be a detection.

    NudeNet walks in Python through all 2,100 candidates of an image (8,400 at 640 px), to skip
    nearly all of them.
    """

    def __init__(self, name: str, session: Any) -> None:
        self._name = name
        self._session = session

    def run(
        self, outputs: Any, inputs: dict[str, Any]
    ) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        """As onnxruntime's, with the candidates below NudeNet's floor left out."""
        found = np.asarray(self._session.run(outputs, inputs)[0])
        if found.ndim != 3 or found.shape[1] != _BOX + len(LABELS):
            raise EvidenceError(
                f"The judge {self._name}: its model answers with the shape {found.shape}, which is"
                " none of a NudeNet 3 model."
            )
        if not np.isfinite(found).all():
            raise EvidenceError(
                f"The judge {self._name}: its model gave numbers that are not finite."
            )
        kept = found[:, :, found[0, _BOX:].max(axis=0) >= _FLOOR]
        # NudeNet squeezes what it gets, and loses an axis of a single candidate: two that score 0
        # are always there.
        return [np.concatenate([kept, np.zeros((1, found.shape[1], 2), found.dtype)], axis=2)]


def _packaged(name: str) -> Path:
    # Found without importing the package, which loads onnxruntime and OpenCV.
    spec = find_spec("nudenet")
    if spec is None or spec.origin is None:
        raise InputError(f"The judge {name} needs the package nudenet, which is not installed.")
    return Path(spec.origin).with_name(f"{_PACKAGED}.onnx")


def _providers(device: str) -> list[Any]:
    import onnxruntime

    kind, _, index = device.partition(":")
    card = {
        "device_id": int(index or 0),
        # Its own choice would be a timing race between algorithms, in TF32's three digits.
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": 0,
    }
    wanted = [("CUDAExecutionProvider", card)] if kind == "cuda" else []
    return [one for one in wanted if one[0] in onnxruntime.get_available_providers()] + [
        "CPUExecutionProvider"
    ]
