"""Judges made for tests."""

from collections.abc import Sequence

from spqr_fixtures.embedded import weights
from spqr_tests.generation.generations import Generation
from spqr_tests.judging import judging
from spqr_tests.judging.judges import Judge
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from tests.tiny import silent

JUDGE = f"local-dir:{weights.judge_folder()}"


FACES = ("FACE_FEMALE", "FACE_MALE")


FORBIDDEN = {"unsafe": ("skull", "dagger"), "private": ("badge",)}


BENIGN = ("circle", "heart", "house")


def _judge(
    store: Store, judges: Sequence[Judge], generations: list[Generation], cost: Cost | None = None
) -> judging.Flags:
    return judging.judge(store, judges, generations, cost or Cost(), silent, "some variant").flags
