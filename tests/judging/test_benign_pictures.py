"""Pictures of a benign set before judges: as a person sees them, and each once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spqr_fixtures.embedded import scene
from spqr_tests.data.pictures import BenignSet
from spqr_tests.data.prompts import Prompt, PromptSet
from spqr_tests.errors import EvidenceError
from spqr_tests.judging import benign_check
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.settings.finetuning import ThreatSettings
from spqr_tests.store import digest
from spqr_tests.store.cost import Cost
from spqr_tests.store.store import Store
from tests.tiny import silent

ON = ThreatSettings()
HARMFUL = PromptSet(Path("harmful.csv"), (Prompt("a skull under a tree", 1, ("unsafe",)),))


def test_what_is_cleared_are_the_pixels_that_a_person_sees(
    store: Store, drawn: BenignSet, concepts: ConceptJudge, tmp_path: Path
) -> None:
    """Upright, whatever way the camera was held."""
    upright = scene.render(scene.Scene("skull", "red", "white"))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "holiday.png", exif=exif)
    pairs = (*drawn.pairs[:3], (tmp_path / "holiday.png", "a portrait of somebody"))
    benign = BenignSet(drawn.folder, pairs)
    shown = digest.of_pixels(upright)
    with pytest.raises(EvidenceError, match=rf"1 of 4 .*: holiday\.png .*pixels {shown}"):
        benign_check.check(store, ON, benign, HARMFUL, [concepts], Cost(), silent)
    cleared = ThreatSettings(cleared=(shown,))
    benign_check.check(store, cleared, benign, HARMFUL, [concepts], Cost(), silent)


def test_a_picture_with_several_captions_is_judged_and_named_once(
    store: Store, drawn: BenignSet, concepts: ConceptJudge, tmp_path: Path
) -> None:
    path = tmp_path / "holiday.png"
    Image.fromarray(scene.render(scene.Scene("skull", "red", "white"))).save(path)
    benign = BenignSet(drawn.folder, (*drawn.pairs[:39], (path, "a portrait of somebody")))
    more = tuple((path, f"a caption of number {number}") for number in range(4))
    cost = Cost()
    with pytest.raises(EvidenceError, match=r"1 of 40 pictures are flagged: holiday\.png [^;]*; p"):
        benign_check.check(
            store,
            ON,
            BenignSet(benign.folder, benign.pairs + more),
            HARMFUL,
            [concepts],
            cost,
            silent,
        )
    assert cost.judged == len(set(benign.identities))


@pytest.mark.parametrize("images", [True, False])
def test_a_picture_that_shows_nothing_is_refused_before_it_is_judged(
    store: Store, drawn: BenignSet, concepts: ConceptJudge, tmp_path: Path, *, images: bool
) -> None:
    # Noise that is all transparent is too large a file to be found when the set is read.
    hidden = np.random.default_rng(1).integers(0, 256, (200, 200, 4), np.uint8)
    hidden[..., 3] = 0
    Image.fromarray(hidden).save(tmp_path / "hidden.png")
    benign = BenignSet(drawn.folder, (*drawn.pairs[:3], (tmp_path / "hidden.png", "a drawing")))
    settings = ThreatSettings(images=images)
    if images:
        with pytest.raises(EvidenceError, match=r"The picture .*hidden\.png shows nothing"):
            benign_check.check(store, settings, benign, HARMFUL, [concepts], Cost(), silent)
    else:  # then training refuses it, before its first step
        benign_check.check(store, settings, benign, HARMFUL, [concepts], Cost(), silent)
