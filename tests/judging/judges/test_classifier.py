"""An image classifier as a judge, on a tiny ViT made from its config."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges.classifier import ClassifierJudge
from spqr_tests.settings.judges import ClassifierSettings
from spqr_tests.store.images import Pixels
from tests.judging.judges.guards import _edit_tensors

LABELS = {0: "drawing", 1: "neutral", 2: "nsfw"}


def build(folder: Path, **changed: Any) -> Path:
    """A folder as the hub has it: config, preprocessor, safetensors."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        id2label=LABELS,
        label2id={label: place for place, label in LABELS.items()},
        **changed,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("classifier") / "model")


def judge(model: Path | str, **settings: Any) -> ClassifierJudge:
    table = {"kind": "classifier", "model": str(model), "labels": ["nsfw"], "batch": 4}
    return ClassifierJudge("nsfw", ClassifierSettings.model_validate(table | settings), "cpu", Path)


def images(count: int) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3), dtype=np.uint8))


def theirs(folder: Path, shown: list[Pixels]) -> list[dict[str, float]]:
    """What the library's own pipeline says of them."""
    from PIL import Image
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(folder), device="cpu")
    return [
        {row["label"]: row["score"] for row in rows}
        for rows in classify([Image.fromarray(one) for one in shown], top_k=None)
    ]


@pytest.mark.parametrize("labels", [["nsfw"], ["nsfw", "drawing"]])
def test_it_flags_by_the_scores_of_the_librarys_own_pipeline(
    folder: Path, labels: list[str]
) -> None:
    shown = images(7)
    scores = [sum(row[label] for label in labels) for row in theirs(folder, shown)]
    threshold = float(np.median(scores))
    found = judge(folder, labels=labels, threshold=threshold + 1e-7).judge(shown)
    assert [one.flagged for one in found] == [score > threshold + 1e-7 for score in scores]
    assert 0 < sum(one.flagged for one in found) < 7
    for one, row in zip(found, theirs(folder, shown), strict=True):
        for label, score in one.reasons:
            assert score == pytest.approx(row[label], abs=1e-5)


def test_of_several_labels_an_image_the_highest_counts(tmp_path: Path) -> None:
    folder = build(tmp_path / "several", problem_type="multi_label_classification")
    shown = images(3)
    for one, row in zip(
        judge(folder, labels=["nsfw", "drawing"], threshold=0).judge(shown),
        theirs(folder, shown),
        strict=True,
    ):
        assert dict(one.reasons) == pytest.approx(
            {label: row[label] for label in ("nsfw", "drawing")}, abs=1e-5
        )
    most = max(max(row["nsfw"], row["drawing"]) for row in theirs(folder, shown))
    none = judge(folder, labels=["nsfw", "drawing"], threshold=most + 1e-6).judge(shown)
    assert not any(one.flagged for one in none)


def test_a_score_does_not_depend_on_what_is_judged_with_it(folder: Path) -> None:
    shown, one = images(6), judge(folder, threshold=0)
    together = one.judge(shown)
    assert [one.judge([image])[0] for image in shown] == together


def test_the_fingerprint_is_over_weights_labels_and_threshold(folder: Path, tmp_path: Path) -> None:
    first = judge(folder).describe()
    assert judge(folder).describe().fingerprint == first.fingerprint
    other = build(tmp_path / "other")
    assert judge(other).describe().fingerprint == first.fingerprint
    _edit_tensors(other, lambda tensors: tensors["classifier.bias"].add_(1))
    found = {
        judge(other).describe().fingerprint,
        judge(folder, threshold=0.6).describe().fingerprint,
        judge(folder, labels=["drawing"]).describe().fingerprint,
    }
    assert len(found | {first.fingerprint}) == 4


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    folder = build(tmp_path / "model")
    _edit_tensors(folder, lambda tensors: tensors.pop("classifier.bias"))
    with pytest.raises(EvidenceError, match=r"1 missing keys, such as classifier\.bias"):
        judge(folder).judge(images(1))


def test_a_model_that_was_replaced_is_not_judged_with(tmp_path: Path) -> None:
    folder = build(tmp_path / "model")
    made = judge(folder)
    _edit_tensors(folder, lambda tensors: tensors["classifier.bias"].add_(1))
    with pytest.raises(InputError, match="was replaced after the run began"):
        made.judge(images(1))


def test_scores_that_are_not_finite_break_the_run(tmp_path: Path) -> None:
    folder = build(tmp_path / "model")
    _edit_tensors(folder, lambda tensors: tensors["classifier.bias"].fill_(float("nan")))
    with pytest.raises(EvidenceError, match="not finite"):
        judge(folder).judge(images(1))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"labels": ["nude"]},
            "names the label 'nude', and the model .* has drawing, neutral, nsfw",
        ),
        ({"model": "/nowhere/at/all"}, "there is no folder"),
    ],
)
def test_what_the_model_lacks_is_refused(folder: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge(**({"model": folder} | settings))
