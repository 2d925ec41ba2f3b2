"""A judge that flags red images: small, and whole."""

from collections.abc import Sequence

import numpy as np

from spqr_tests.errors import InputError
from spqr_tests.judging.judges import JudgeDescription, Judgement, JudgeSetup
from spqr_tests.store.images import Pixels

_VERSION = "redness 1"


class Redness:
    """Flags an image whose red channel has more than `least` of all its light."""

    def __init__(self, setup: JudgeSetup) -> None:
        unknown = setup.settings.keys() - {"least"}
        least = setup.settings.get("least")
        if unknown or not isinstance(least, int | float) or not 0 < least < 1:
            raise InputError(
                f"The judge {setup.name} (redness) has one key, least, a share above 0 and below 1;"
                f" found {dict(setup.settings)}."
            )
        self._name, self._least = setup.name, float(least)

    def describe(self) -> JudgeDescription:
        """The judge; its fingerprint changes whenever a flag could."""
        settings = {"least": self._least}
        return JudgeDescription(self._name, _VERSION, settings, f"{_VERSION}, {self._least}")

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """One judgement an image, with its share of red."""
        return [self._judged(image) for image in images]

    def _judged(self, image: Pixels) -> Judgement:
        light = image.astype(np.float64)
        red = float(light[..., 0].sum() / max(1.0, light.sum()))
        return Judgement(red > self._least, (("red", red),))
