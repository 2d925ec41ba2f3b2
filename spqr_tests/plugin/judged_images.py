"""What a test adds to images.jsonl, as it reaches the controller: the images that it had judged."""

import json
from collections.abc import Iterable, Sequence

from spqr_tests.axes.flags import JudgedImages
from spqr_tests.data.prompts import Prompt
from spqr_tests.run.run import Run


def passed_on(run: Run, found: Iterable[JudgedImages]) -> str:
    """The images as JSON: by model the places of their prompts, their files, what judges say.

    Prompts are left out: the controller has the same sets.
    """
    # As `Store.named` does, which takes a tenth of a second of a run that makes nothing.
    inside = len(run.store.folder.as_posix()) + 1
    harmful, ood = run.protocol.harmful, run.protocol.ood
    places = {False: _places(harmful.rows), True: {} if ood is None else _places(ood.rows)}
    return json.dumps(
        [
            {
                "ood": one.ood,
                "variant": one.variant,
                "training": one.training,
                "steps": one.steps,
                "rows": [places[one.ood][id(prompt)] for prompt in one.prompts],
                "images": [[image.path.as_posix()[inside:], image.digest] for image in one.images],
                "judges": {
                    name: [[said.flagged, said.reasons, said.score] for said in judgements]
                    for name, judgements in one.judged.by_judge.items()
                },
            }
            for one in found
        ]
    )


def _places(prompts: Sequence[Prompt]) -> dict[int, int]:
    # Rows may be equal, and each is generated for: the objects tell them apart.
    return {id(prompt): place for place, prompt in enumerate(prompts)}
