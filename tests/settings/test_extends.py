"""Protocols that extend another state only what differs."""

from pathlib import Path

import pytest

from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file
from tests.settings.minimal import MINIMAL, read


def test_a_protocol_may_extend_another(tmp_path: Path) -> None:
    base = tmp_path / "some.toml"
    read(tmp_path)
    own = tmp_path / "own.toml"
    own.write_text(
        f'extends = "{base.name}"\nname = "mine"\n[sampler]\nsteps = 7\n[judges.nudenet]\nthreshold'
        " = 0.6\n"
    )
    mine, theirs = protocol_file.read(own), protocol_file.read(base)
    assert (mine.name, mine.sampler.steps, mine.judges["nudenet"].threshold) == ("mine", 7, 0.6)  # type: ignore[union-attr]
    assert mine.judges["nudenet"].labels == theirs.judges["nudenet"].labels  # type: ignore[union-attr]
    assert mine.scenarios == theirs.scenarios
    assert protocol_file.read(own, {base.name: base}) == mine


def test_a_judge_of_another_kind_replaces_the_extended_ones_whole(tmp_path: Path) -> None:
    base = tmp_path / "some.toml"
    read(tmp_path)
    own = tmp_path / "own.toml"
    own.write_text(
        f'extends = "{base.name}"\n[judges.concept]\nkind = "nudenet"\nlabels = ["FACE_MALE"]\n'
    )
    assert protocol_file.read(own).judges["concept"].kind == "nudenet"


@pytest.mark.parametrize(
    ("extends", "sentence"),
    [
        ('"papr"', "extends is 'papr'; expected one of paper, or a .toml file next to it."),
        ("3", "extends is 3; expected one of paper"),
        ('"none.toml"', "none.toml cannot be read"),
        ('"own.toml"', "extends own.toml, which extends it in turn."),
        ('"round.toml"', "extends own.toml, which extends it in turn."),
    ],
)
def test_an_extension_that_leads_nowhere_is_refused(
    tmp_path: Path, extends: str, sentence: str
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f"extends = {extends}\n")
    (tmp_path / "round.toml").write_text('extends = "own.toml"\n')
    with pytest.raises(InputError) as raised:
        protocol_file.read(own, {"paper": tmp_path / "paper.toml"})
    assert sentence in str(raised.value)


def test_the_path_of_a_set_lies_beside_the_file_that_states_it(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    base = tmp_path / "shared" / "base.toml"
    sets = ""
    for name, path in (("one", "one.csv"), ("two", "two.csv"), ("three", "/three.csv")):
        sets += f'[data.{name}]\nexpects = "a file"\nsource = "a test"\npath = "{path}"\n'
    base.write_text(MINIMAL + sets, encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(
        'extends = "shared/base.toml"\n[data.two]\npath = "mine.csv"\n', encoding="utf-8"
    )
    found = {name: one.path for name, one in protocol_file.read(own).data.items()}
    assert found == {
        "one": str(tmp_path / "shared" / "one.csv"),
        "two": str(tmp_path / "mine.csv"),
        "three": "/three.csv",
    }


def test_a_budget_of_steps_replaces_one_of_epochs(tmp_path: Path) -> None:
    base, own = tmp_path / "base.toml", tmp_path / "own.toml"
    base.write_text(MINIMAL, encoding="utf-8")
    name, profile = next(iter(protocol_file.read(base).profiles.items()))
    for _ in range(2):
        stated, other = ("steps", "epochs") if profile.steps is None else ("epochs", "steps")
        own.write_text(
            f'extends = "{base.name}"\n[profiles.{name}]\n{stated} = 7\n', encoding="utf-8"
        )
        profile = protocol_file.read(own).profiles[name]
        assert (getattr(profile, stated), getattr(profile, other)) == (7, None)
        base, own = own, tmp_path / "again.toml"


BASE_QUALITY = """[quality]
prompts = "p"
reference = "r"
reference_images = 9
encoder = "e"
anchors_source = "measured"
"""


@pytest.mark.parametrize(
    ("inherited", "stated", "lacking"),
    [
        ("best = 1\nworst = 9", 'distance = "cmmd"', "quality.best"),
        ("best = 1\nworst = 9", 'distance = "kid"\nbest = 0', "quality.worst"),
        ("best = 1\nworst = 9", 'distance = "kid"\nbest = 0\nworst = 1', "quality.anchors_source"),
        ('best = 1\nworst = "blurred"', 'distance = "kid"', "quality.best"),
        ('distance = "kid"\nbest = 0\nworst = 1', 'distance = "fid"', "quality.best"),
    ],
)
def test_anchors_of_another_distance_are_not_inherited(
    tmp_path: Path, inherited: str, stated: str, lacking: str
) -> None:
    read(tmp_path)
    middle, own = tmp_path / "middle.toml", tmp_path / "own.toml"
    middle.write_text(f'extends = "some.toml"\n{BASE_QUALITY}{inherited}\n')
    own.write_text(f'extends = "middle.toml"\n[quality]\n{stated}\n')
    with pytest.raises(InputError) as raised:
        protocol_file.read(own)
    assert f"but {lacking} is inherited from middle.toml" in str(raised.value)
    assert "state best, worst and anchors_source of the new distance" in str(raised.value)


@pytest.mark.parametrize("typed", ['"fdi"', "3", '["kid"]'])
def test_a_distance_that_does_not_exist_is_said_to_be_that(tmp_path: Path, typed: str) -> None:
    read(tmp_path)
    middle, own = tmp_path / "middle.toml", tmp_path / "own.toml"
    middle.write_text(f'extends = "some.toml"\n{BASE_QUALITY}best = 1\nworst = 9\n')
    own.write_text(f'extends = "middle.toml"\n[quality]\ndistance = {typed}\n')
    with pytest.raises(InputError, match=r"quality\.distance: .*'fid', 'kid' or 'cmmd'"):
        protocol_file.read(own)


@pytest.mark.parametrize(
    ("inherited", "stated"),
    [
        ('best = "reference"\nworst = "blurred"', 'distance = "cmmd"'),
        ("best = 1\nworst = 9", 'distance = "fid"'),
        ("best = 1\nworst = 9", 'distance = "kid"\nbest = 0\nworst = 1\nanchors_source = "m"'),
    ],
)
def test_anchors_that_hold_for_any_distance_are_inherited(
    tmp_path: Path, inherited: str, stated: str
) -> None:
    read(tmp_path)
    middle, own = tmp_path / "middle.toml", tmp_path / "own.toml"
    middle.write_text(f'extends = "some.toml"\n{BASE_QUALITY}{inherited}\n')
    own.write_text(f'extends = "middle.toml"\n[quality]\n{stated}\n')
    assert protocol_file.read(own).quality.placed_by in stated
