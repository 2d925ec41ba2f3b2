"""Any image classifier of transformers as a judge, such as Falconsai/nsfw_image_detection."""

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from spqr_tests import files, quotes
from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges import JudgeDescription, Judgement, model_files
from spqr_tests.settings.judges import ClassifierSettings
from spqr_tests.store import digest, libraries
from spqr_tests.store.computing import computing
from spqr_tests.store.images import Pixels

_SHAPE = "batches of one size, filled up"
"""How images are put together, which the last bits of a score depend on."""


class ClassifierJudge:
    """Flags an image whose `labels` have a score above the threshold.

    A classifier that gives one label an image has a softmax over its labels: the probabilities of
    `labels` are added up. One that gives several (`problem_type` "multi_label_classification") has
    a probability for each, and the highest counts. `InputError` when the model cannot be had or
    lacks a label.
    """

    def __init__(
        self, name: str, settings: ClassifierSettings, device: str, locate: Callable[[str], Path]
    ) -> None:
        self._name = name
        self._settings = settings
        self._device = device
        self._files = model_files.find(settings.model, settings.revision, None, name, locate)
        config = files.json_object(self._files.folder / "config.json", f"The judge {name}:")
        known = config.get("id2label")
        if not isinstance(known, dict) or not known:
            raise InputError(
                f"The judge {name} names the model {settings.model}, whose config.json has no"
                " id2label: it is no classifier."
            )
        places = {str(label): int(place) for place, label in known.items()}
        strange = [label for label in settings.labels if label not in places]
        if strange:
            raise InputError(
                f"The judge {name} names the label {quotes.shown(strange[0])}, and the model"
                f" {settings.model} has {', '.join(sorted(places))}."
            )
        self._places = {label: places[label] for label in settings.labels}
        self._several = config.get("problem_type") == "multi_label_classification"

    def describe(self) -> JudgeDescription:
        """Model, commit, labels and threshold; the fingerprint is over these and its files."""
        return self._description

    @cached_property
    def _description(self) -> JudgeDescription:
        settings = self._settings.model_dump(mode="json") | {"revision": self._files.commit}
        library = f"transformers {metadata.version('transformers')}"
        # The model counts by its content, wherever it is.
        asked = {key: value for key, value in settings.items() if key != "model"}
        fingerprint = digest.of_json([library, asked, self._files.fingerprint])
        computed_with = {"shape": _SHAPE, **libraries.minor(("torch", "pillow"))}
        return JudgeDescription(
            self._name, f"a classifier through {library}", settings, fingerprint, computed_with
        )

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image; `EvidenceError` where the model cannot judge."""
        size, found = self._settings.batch, []
        for start in range(0, len(images), size):
            shown = list(images[start : start + size])
            scores = self._scores([*shown, *[shown[-1]] * (size - len(shown))])
            found += [self._judgement(row) for row in scores[: len(shown)]]
        return found

    def _judgement(self, row: Sequence[float]) -> Judgement:
        own = {label: row[place] for label, place in self._places.items()}
        # Probabilities that are added up may be a little more than 1.
        score = max(own.values()) if self._several else min(1.0, sum(own.values()))
        if score <= self._settings.threshold:
            return Judgement(flagged=False, score=score)
        order = sorted(own.items(), key=lambda one: -one[1])
        return Judgement(True, tuple((label, min(1.0, share)) for label, share in order), score)

    def _scores(self, images: Sequence[Pixels]) -> list[list[float]]:
        """The probability of each label of the model, by image."""
        import torch
        from PIL import Image

        model, processor = self._loaded
        with computing(self._device), torch.inference_mode():
            inputs = processor(
                images=[Image.fromarray(image) for image in images], return_tensors="pt"
            ).to(self._device, getattr(torch, self._settings.dtype))
            logits = model(**inputs).logits.float()
            scores = logits.sigmoid() if self._several else logits.softmax(dim=-1)
        if not bool(scores.isfinite().all()):
            raise EvidenceError(
                f"The judge {self._name} gives scores that are not finite; state dtype ="
                ' "float32" in its table.'
            )
        return [[float(one) for one in row] for row in scores.tolist()]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        with computing(self._device):
            return self._load()

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoImageProcessor, AutoModelForImageClassification
        from transformers.utils import logging

        folder = self._files.folder
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            processor: Any = AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            loaded: Any = AutoModelForImageClassification.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # configs, processors and weights fail in ways of their own
            reason = (str(error) or repr(error)).splitlines()[0]
            raise EvidenceError(
                f"The judge {self._name}: the model {folder} could not be loaded: {reason}"
            ) from error
        self._files.require_unchanged()
        model, report = loaded
        # The library goes on with random weights where a file has none.
        for what in ("missing_keys", "mismatched_keys"):
            if report[what]:
                raise EvidenceError(
                    f"The judge {self._name}: the model {folder} has {len(report[what])}"
                    f" {what.replace('_', ' ')}, such as {min(map(str, report[what]))}."
                )
        return model.to(self._device, getattr(torch, self._settings.dtype)).eval(), processor
