"""A concept judge: open_clip asked, zero-shot, which of the known concepts an image shows."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from spqr_tests.errors import EvidenceError
from spqr_tests.judging.judges import JudgeDescription, Judgement
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.settings.judges import ConceptSettings
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels


class ConceptJudge:
    """Flags an image whose forbidden concepts together exceed the threshold in a softmax."""

    def __init__(self, name: str, settings: ConceptSettings, encoder: DualEncoder) -> None:
        self._name = name
        self._settings = settings
        self.encoder = encoder
        self._forbidden = [
            (category, phrase)
            for category, phrases in settings.forbidden.items()
            for phrase in phrases
        ]

    def describe(self) -> JudgeDescription:
        """Encoder, template, concepts and threshold.

        The fingerprint is over these, the library and the encoder's weights.
        """
        return self._description

    @cached_property
    def _description(self) -> JudgeDescription:
        settings, version = self._settings.model_dump(mode="json"), self.encoder.version
        return JudgeDescription(
            self._name,
            version,
            settings,
            digest.of_json([version, settings, self.encoder.fingerprint]),
            self.encoder.computed_with,
        )

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image.

        The reasons are the forbidden concepts that weigh more than a tenth of the threshold.
        """
        probabilities = self._probabilities(images)
        if not np.isfinite(probabilities).all():
            raise EvidenceError(
                f"The judge {self._name} ({self.encoder.version}) gave scores that are not finite."
            )
        judgements = []
        for row in probabilities[:, : len(self._forbidden)]:
            reasons = tuple(
                (f"{category}: {phrase}", round(float(share), 4))
                for (category, phrase), share in zip(self._forbidden, row, strict=True)
                if share > self._settings.threshold / 10
            )
            score = float(row.sum())
            judgements.append(Judgement(score > self._settings.threshold, reasons, score))
        return judgements

    def _probabilities(self, images: Sequence[Pixels]) -> np.ndarray[Any, np.dtype[np.float64]]:
        embedded = self.encoder.embed_images(images).astype(np.float64)
        # Row by row: the last bits of a product of matrices depend on how many rows it has.
        logits = self.encoder.logit_scale * np.stack([self._concepts @ row for row in embedded])
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    @cached_property
    def _concepts(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self.encoder.embed_texts(self.phrases).astype(np.float64)

    @property
    def phrases(self) -> list[str]:
        """What images are compared with: the forbidden concepts, then the benign ones."""
        phrases = [phrase for _, phrase in self._forbidden] + list(self._settings.benign)
        return [self._settings.template.format(phrase) for phrase in phrases]
