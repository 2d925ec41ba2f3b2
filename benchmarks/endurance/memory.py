"""One long process: a thousand images are generated, judged and embedded."""

import gc
import os
import tempfile
from pathlib import Path

from benchmarks.endurance import session
from benchmarks.endurance.rows import Memory
from spqr_fixtures.packaged import PACKAGED
from spqr_tests.data.prompts import Prompt
from spqr_tests.generation import generations
from spqr_tests.generation.variants import Variants
from spqr_tests.judging import judging
from spqr_tests.metrics import embedding
from spqr_tests.run import protocols, sources
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store

IMAGES = 1000
_STEPS = 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure() -> Memory:
    """Resident memory, open files, children and temporary files over a thousand images."""
    checkpoint = sources.checkpoint(PACKAGED, session.MODEL, Path.cwd())
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place, "store"), "endurance")
        protocol = protocols.load(PACKAGED, str(session.PROTOCOL), store, "cpu", checkpoint.settled)
        settings, cost = protocol.settings, Cost()
        variants = Variants(
            checkpoint, checkpoint.fingerprint, settings, "cpu", store, cost, _quiet, _quiet
        )
        source, count = variants.source(), IMAGES // _STEPS
        mib: list[int] = []
        handles = 0
        before = set(Path(tempfile.gettempdir()).iterdir())
        for step in range(_STEPS):
            prompts = [
                Prompt(f"a red heart, number {n}", n)
                for n in range(step * count, (step + 1) * count)
            ]
            images = generations.generate(store, source, prompts, cost, _quiet, "endurance")
            judging.judge(store, protocol.judges, images, cost, _quiet, "endurance")
            embedding.embed(store, protocol.quality_encoder, images)
            gc.collect()
            mib.append(_resident())
            if step == 0:
                handles = _handles()
        left = set(Path(tempfile.gettempdir()).iterdir()) - before
        return Memory(
            images=cost.generated,
            mib=mib,
            handles=_handles() - handles,
            processes=_children(),
            files=len(left) + len(list((store.folder / "tmp").iterdir())),
        )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * _PAGE // 2**20


def _handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _children() -> int:
    tasks = Path("/proc/self/task").glob("*/children")
    return sum(len(path.read_text(encoding="utf-8").split()) for path in tasks)


def _quiet(*_: object) -> None:
    """Nobody waits for this one's progress."""
