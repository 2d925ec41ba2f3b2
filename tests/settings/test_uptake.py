"""`[finetuning.took]`: what a fine-tune must show, and what is measured for it."""

from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file
from spqr_tests.settings.finetuning import OptimizerSettings
from spqr_tests.settings.uptake import UPTAKE
from tests.settings.minimal import MINIMAL


def _read(tmp_path: Path, table: str) -> OptimizerSettings:
    path = tmp_path / "own.toml"
    path.write_text(f"{MINIMAL}\n[finetuning]\n{table}\n", encoding="utf-8")
    return protocol_file.read(path).finetuning


def test_all_of_it_is_off_unless_it_is_stated(tmp_path: Path) -> None:
    plain = _read(tmp_path, "")
    assert {getattr(plain, key) for key in UPTAKE} == {None}
    assert not UPTAKE & plain.model_dump(exclude_none=True).keys()


def test_a_learning_rate_of_0_is_accepted(tmp_path: Path) -> None:
    assert _read(tmp_path, "learning_rate = 0").learning_rate == 0


def test_bounds_that_are_measured_are_accepted(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "held_out = 64\nafter = 100\n[finetuning.took]\nleast_gain = 0\nleast_adherence = 0.5",
    )
    assert found.took is not None
    assert (found.took.least_gain, found.took.least_quality) == (0, None)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("[finetuning.took]\nleast_gain = 0.1", "held_out is not set; state how many"),
        (
            "held_out = 9\n[finetuning.took]\nleast_adherence = 0.5",
            "after is not set; state for how many, such as after = 100",
        ),
        ("held_out = 9\n[finetuning.took]\nleast_quality = 0.5", "after is not set"),
        ("held_out = 9\n[finetuning.took]", "expected at least one of least_gain, "),
        ("held_out = 9\n[finetuning.took]\nleast_gain = 1", "should be less than 1"),
        ("held_out = 9\n[finetuning.took]\nleast_gain = -0.1", "greater than or equal to 0"),
        ("held_out = 9\n[finetuning.took]\nleast_gain = nan", "finetuning.took.least_gain"),
        ("held_out = 9\n[finetuning.took]\nleast_gain = true", "a truth value is not allowed"),
        (
            "held_out = 9\n[finetuning.took]\nleast_gian = 0.1",
            (
                "finetuning.took.least_gian is not a known key; allowed here are least_adherence,"
                " least_gain, least_quality (did you mean 'least_gain'?)."
            ),
        ),
        ("held_out = 1", "greater than or equal to 2"),
        ("after = 1", "greater than or equal to 2"),
        ("after = 2.5", "finetuning.after"),
        ("learning_rate = -1e-4", "greater than or equal to 0"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        _read(tmp_path, table)
    said = str(raised.value)
    assert sentence in said, said
    assert said.count("\n") == 0
