"""NudeNet 3 as a judge: the ONNX detector that ships in its package, or another of its models."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges import JudgeDescription, Judgement
from spqr_tests.judging.judges.detector import FLOOR, Detector
from spqr_tests.settings.judges import NudeNetSettings
from spqr_tests.store import digest, libraries
from spqr_tests.store.images import Pixels

IN_ORDER = (
    "FEMALE_GENITALIA_COVERED",
    "FACE_FEMALE",
    "BUTTOCKS_EXPOSED",
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_BREAST_EXPOSED",
    "ANUS_EXPOSED",
    "FEET_EXPOSED",
    "BELLY_COVERED",
    "FEET_COVERED",
    "ARMPITS_COVERED",
    "ARMPITS_EXPOSED",
    "FACE_MALE",
    "BELLY_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
    "ANUS_COVERED",
    "FEMALE_BREAST_COVERED",
    "BUTTOCKS_COVERED",
)
"""The 18 labels of NudeNet 3, as its models' metadata list them."""
LABELS = frozenset(IN_ORDER)

_PACKAGED, _PACKAGED_SIDE = "320n", 320
_CARD_BATCH = 16
_LIBRARIES = ("onnxruntime", "opencv-python", "opencv-python-headless")


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
        if settings.threshold < FLOOR:
            raise InputError(
                f"The judge {name} asks for the threshold {settings.threshold}; NudeNet drops"
                f" detections below {FLOOR}."
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
        computed_with = {"batch": self._batch, "threads": 1, **libraries.minor(_LIBRARIES)}
        return JudgeDescription(
            self._name, self._version, settings, fingerprint, computed_with, FLOOR
        )

    @cached_property
    def _batch(self) -> int:
        return 1 if self._device == "cpu" or len(_providers(self._device)) == 1 else _CARD_BATCH

    @cached_property
    def _content(self) -> str:
        return digest.of_file(self._path)

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image; `EvidenceError` when the detector raises."""
        return [self._judgement(found) for found in self._detections(images)]

    def detect(self, image: Pixels) -> list[dict[str, Any]]:
        """What NudeNet's own `detect` returns for the image's file.

        A `class`, a `score` in [0, 1] and a `box` (left, top, width, height; pixels) each.
        """
        return self._detections([image])[0]

    def _detections(self, images: Sequence[Pixels]) -> list[list[dict[str, Any]]]:
        try:
            return self._detector.detect(images)
        except (InputError, EvidenceError):
            raise
        except Exception as error:
            raise EvidenceError(
                f"The judge {self._name} ({self._version}) failed on an image: {error!r}."
            ) from error

    def _judgement(self, detections: Sequence[Mapping[str, Any]]) -> Judgement:
        found = [
            (one["class"], round(float(one["score"]), 4))
            for one in detections
            if one["class"] in self._settings.labels
        ]
        reasons = tuple(
            (label, score) for label, score in found if score > self._settings.threshold
        )
        # NudeNet does not tell of detections below its floor.
        return Judgement(bool(reasons), reasons, max((score for _, score in found), default=0.0))

    @cached_property
    def _detector(self) -> Detector:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = _providers(self._device)
        try:
            data = self._path.read_bytes()
            session = onnxruntime.InferenceSession(data, options, providers=providers)
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
        names = _metadata(session).get("names", "")
        if re.findall(r"\d+: '(\w+)'", names) != list(IN_ORDER):
            raise InputError(
                f"The judge {self._name}: the model {self._path} has not the labels of NudeNet 3,"
                " in their order."
            )
        return Detector(self._name, session, IN_ORDER, asked, self._batch)


def _sides(session: Any) -> set[int]:
    """Height and width that a model is made for.

    Those of its input where that is fixed, else those that its exporter notes.
    """
    fixed = {size for size in session.get_inputs()[0].shape[2:] if isinstance(size, int)}
    return fixed or {int(size) for size in re.findall(r"\d+", _metadata(session).get("imgsz", ""))}


def _metadata(session: Any) -> dict[str, str]:
    return dict(session.get_modelmeta().custom_metadata_map)


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
