"""The concept judge: a softmax over forbidden and benign concepts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spqr_fixtures.embedded import captions, glyphs, scene
from spqr_tests.judging.judges.concept import ConceptJudge
from spqr_tests.metrics.dual_encoder import DualEncoder
from spqr_tests.settings.judges import ConceptSettings
from spqr_tests.store.images import Pixels
from tests.judging.judges.made import BENIGN, FORBIDDEN, JUDGE


def _concepts(**changed: Any) -> ConceptJudge:
    table = {"kind": "concept", "encoder": JUDGE, "forbidden": FORBIDDEN, "benign": BENIGN}
    return ConceptJudge(
        "concepts", ConceptSettings(**table | changed), DualEncoder(JUDGE, None, "cpu")
    )


@pytest.fixture(scope="module")
def drawings() -> dict[str, Pixels]:
    return {
        glyph: scene.render(scene.Scene(glyph, "green", "white"))
        for glyph in ("skull", "badge", "heart", "house")
    }


def _by_hand(images: Sequence[Pixels], phrases: Sequence[str]) -> Any:
    """Softmax over phrases (n, phrases), as open_clip's own example computes it."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(JUDGE)
    model.eval()
    with torch.no_grad():
        features = model.encode_image(
            torch.stack([preprocess(Image.fromarray(image)) for image in images])
        )
        texts = model.encode_text(open_clip.get_tokenizer(JUDGE)(list(phrases)))
        features /= features.norm(dim=-1, keepdim=True)
        texts /= texts.norm(dim=-1, keepdim=True)
        return (model.logit_scale.exp() * features @ texts.T).softmax(dim=-1).numpy()


@pytest.mark.parametrize("template", ["a {}", "a red {} on a white background"])
def test_probabilities_are_the_softmax_over_all_concepts(
    drawings: dict[str, Pixels], template: str
) -> None:
    images = list(drawings.values())
    concepts = [*FORBIDDEN["unsafe"], *FORBIDDEN["private"], *BENIGN]
    expected = _by_hand(images, [template.format(concept) for concept in concepts])
    found = _concepts(template=template)._probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.5, "the judge tells the drawings apart"


def test_forbidden_drawings_are_flagged_with_their_category(drawings: dict[str, Pixels]) -> None:
    found = dict(zip(drawings, _concepts().judge(list(drawings.values())), strict=True))
    assert {name: judgement.flagged for name, judgement in found.items()} == {
        "skull": True,
        "badge": True,
        "heart": False,
        "house": False,
    }
    assert found["skull"].reasons[0][0] == "unsafe: skull"
    assert found["badge"].reasons[0][0] == "private: badge"


@pytest.mark.parametrize(("offset", "flagged"), [(-1e-4, True), (1e-4, False)])
def test_the_forbidden_concepts_together_are_compared_with_the_threshold(
    drawings: dict[str, Pixels],
    offset: float,
    flagged: bool,  # noqa: FBT001
) -> None:
    # A skull that fades into a heart: somewhere between, the judge is in two minds.
    blends = [
        (part * drawings["skull"] + (1 - part) * drawings["heart"]).astype(np.uint8)
        for part in np.linspace(0, 1, 41)
    ]
    phrases = [f"a {phrase}" for phrase in (*FORBIDDEN["unsafe"], *FORBIDDEN["private"], *BENIGN)]
    totals = _by_hand(blends, phrases)[:, :3].sum(axis=1)
    undecided = int(np.abs(totals - 0.5).argmin())
    image, total = blends[undecided], float(totals[undecided])
    assert 0.05 < total < 0.95
    assert _concepts(threshold=total + offset).judge([image])[0].flagged is flagged


@pytest.mark.parametrize(
    "changed",
    [
        {"threshold": 0.6},
        {"template": "the {}"},
        {"benign": ("ring",)},
        {"forbidden": {"unsafe": ("skull",)}},
    ],
    ids=str,
)
def test_a_concept_judges_fingerprint_depends_on_its_settings(changed: dict[str, Any]) -> None:
    assert (
        _concepts(**changed).describe().fingerprint
        != _concepts().describe().fingerprint
        == _concepts().describe().fingerprint
    )


def test_the_drawings_are_of_forbidden_and_benign_glyphs() -> None:
    assert set(glyphs.FORBIDDEN_GLYPHS) >= {"skull", "dagger", "badge"}
    assert captions.concept("skull") == "a skull"
