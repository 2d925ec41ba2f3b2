"""The protocol's hash: it moves with everything that affects a number, and with nothing else."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_fixtures.packaged import PACKAGED
from spqr_tests.errors import InputError
from spqr_tests.run import protocols, sources
from spqr_tests.settings.protocol import Protocol
from spqr_tests.settings.uptake import UPTAKE
from spqr_tests.store.store import Store

TINY = Path(__file__).parents[1] / "plugin" / "tiny.toml"
MULTILINGUAL = "embedded-harmful-multilingual.jsonl"
OOD = ("[adherence]", f'[ood]\nprompts = "{MULTILINGUAL}"\n\n[adherence]')
Hash = Callable[..., str]
settle = sources.checkpoint(PACKAGED, "embedded:base", Path()).settled


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"), "test")


@pytest.fixture
def hashed(tmp_path: Path, store: Store) -> Hash:
    """The hash of the tiny protocol after a change in its text or in one of its prompt sets."""

    def of(old: str = "", new: str = "", prompts: str = "") -> str:
        for name in ("embedded-harmful.jsonl", "embedded-benign.jsonl", MULTILINGUAL):
            shutil.copy(PACKAGED.prompts / name, tmp_path / name)
        text = TINY.read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "protocol.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        if prompts:
            lines = (tmp_path / prompts).read_text(encoding="utf-8").splitlines()
            lines[0] = lines[0].replace('"seed": ', '"seed": 1')
            (tmp_path / prompts).write_text("\n".join(lines), encoding="utf-8")
        return protocols.load(PACKAGED, str(path), store, "cpu", settle).hash

    return of


_CORRECTION = """\
[correction]
sensitivity = 0.9
sensitivity_n = 200
specificity = 0.95
specificity_n = 400
source = "none: a test"

"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps = 2\nguidance", "steps = 3\nguidance"),
        ("guidance = 4.0", "guidance = 4.5"),
        ("micro_batch = 8", "micro_batch = 4"),
        ("n = 9", "n = 10"),
        ("n = 9", "n = 9\nimages_per_prompt = 2"),
        ("n = 9", 'n = 9\nseeding = "protocol"'),
        ("n = 9", 'n = 9\nwhere = {language = ["en"]}'),
        ("n = 12\nencoder", "n = 12\nimages_per_prompt = 2\nencoder"),
        ("n = 12\nreference", 'n = 12\nseeding = "protocol"\nreference'),
        ("ceiling = 0.5", "ceiling = 0.6"),
        ("reference_images = 24", "reference_images = 25"),
        ("worst = 2.0", "worst = 2.5"),
        ('"MALE_GENITALIA_EXPOSED"', '"BUTTOCKS_EXPOSED"'),
        ('kind = "nudenet"', 'kind = "nudenet"\nthreshold = 0.6'),
        ('"dagger"', '"badge"'),
        ("[finetuning]", _CORRECTION + "[finetuning]"),
        ("[finetuning]", "[finetuning]\nseed = 7"),
        ("[finetuning]", "[finetuning]\nmin_snr_gamma = 5.0"),
        ("[finetuning]", "[finetuning]\nema_decay = 0.999"),
        ("steps = 2\nguidance", 'steps = "checkpoint"\nguidance'),
        ('trains = "lora"', 'trains = "lora"\nrank = 4'),
        ('trains = "lora"', 'trains = "lora"\nlearning_rate = 1e-5'),
        ('trains = "lora"', 'trains = "lora"\nema_decay = "off"'),
        ('trains = "lora"', 'trains = "lora"\naccumulation = 2'),
        ('trains = "lora"', 'trains = "lora"\ntext_encoder = {}'),
        ('trains = "lora"', 'trains = "lora"\ntext_encoder = {learning_rate = 1e-5}'),
        ("embedded:general", "embedded:medical"),
        ("n = 16", "n = 17"),
        OOD,
        ("draws = 400", 'draws = 400\nrobustness = "sigmoid"'),
    ],
)
def test_a_setting_moves_it(hashed: Hash, old: str, new: str) -> None:
    assert hashed(old, new) != hashed()


@pytest.mark.parametrize("prompts", ["embedded-harmful.jsonl", "embedded-benign.jsonl"])
def test_one_seed_of_a_prompt_set_moves_it(hashed: Hash, prompts: str) -> None:
    assert hashed(prompts=prompts) != hashed()


def test_a_selection_is_hashed_whichever_way_it_is_written(hashed: Hash) -> None:
    one = hashed("n = 9", 'n = 9\nwhere = {category = ["unsafe", "copyrighted", "private"]}')
    assert one == hashed(
        "n = 9", 'n = 9\nwhere = {Category = ["private", "unsafe", "copyrighted", "unsafe"]}'
    )


def test_prompts_out_of_distribution_move_it_where_there_are_any(hashed: Hash) -> None:
    assert hashed(*OOD, prompts=MULTILINGUAL) != hashed(*OOD)
    assert hashed(prompts=MULTILINGUAL) == hashed()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('about = "benign glyphs"', 'about = "harmless glyphs"'),
        ("none: a test", "none at all"),
        ("[sampler]", "# a comment\n[sampler]"),
        ("n = 9", 'n = 9\nimages_per_prompt = 1\nseeding = "row"'),
        # The checkpoint's resolution is 32: the hash covers the number, wherever it is from.
        ("height = 32", 'height = "checkpoint"'),
    ],
)
def test_prose_and_other_ways_to_say_a_number_do_not(hashed: Hash, old: str, new: str) -> None:
    assert hashed(old, new) == hashed()


@pytest.mark.parametrize("name", ["embedded", "smoke"])
def test_a_protocol_on_the_embedded_world_loads_and_says_where_its_constants_come_from(
    name: str, store: Store
) -> None:
    loaded = protocols.load(PACKAGED, name, store, "cpu", settle)
    assert loaded.settings.name == name
    for source in (
        loaded.settings.adherence.ceiling_source,
        loaded.settings.quality.anchors_source,
    ):
        assert "measured" in source
        assert "to be" not in source


@pytest.mark.parametrize("name", ["paper", "release"])
def test_a_protocol_on_real_data_says_all_that_is_missing(name: str, store: Store) -> None:
    with pytest.raises(InputError) as refused:
        protocols.load(PACKAGED, name, store, "cpu", settle)
    first, *missing, options, fewer = str(refused.value).splitlines()
    assert first == "The protocol needs 13 sets of data that are not there:"
    names = [
        found[1] for line in missing if (found := re.fullmatch(r"  (\w+): .+; source: .+", line))
    ]
    assert len(names) == 13
    assert options == " ".join(
        ["Say where each one is:", *(f"--spqr-data {name}=PATH" for name in names)]
    )
    assert fewer.startswith(
        "--spqr-scenarios general measures that scenario alone, which does not need arabic, "
    )
    # A scenario that is not measured needs no data.
    with pytest.raises(InputError, match="The protocol needs 6 sets of data"):
        protocols.load(PACKAGED, name, store, "cpu", settle, select=lambda _: ["general"])


def _with(**keys: object) -> Callable[[Protocol], Protocol]:
    """The protocol with these keys of [finetuning], and nothing else about what a fine-tune did."""
    off = dict.fromkeys(UPTAKE) | keys

    def changed(settings: Protocol) -> Protocol:
        settings = settle(settings)
        finetuning = settings.finetuning.model_copy(update=off)
        return settings.model_copy(update={"finetuning": finetuning})

    return changed


def test_settings_that_later_versions_brought_leave_a_hash_alone(store: Store) -> None:
    assert protocols.load(PACKAGED, "embedded", store, "cpu", _with()).hash == "829f0d7219e6"


def test_held_out_pictures_are_part_of_a_hash_and_leave_the_trained_ones_alone(
    store: Store,
) -> None:
    plain, some, more = (
        protocols.load(PACKAGED, "embedded", store, "cpu", _with(held_out=count))
        for count in (None, 5, 6)
    )
    assert len({one.hash for one in (plain, some, more)}) == 3
    # More of them, like more prompts, ask the same question.
    assert len({one.question for one in (plain, some, more)}) == 1
    assert plain.held_out == {}
    for name, pictures in some.held_out.items():
        assert len(pictures.pictures) == 5
        assert not set(pictures.identities) & set(some.scenarios[name].identities)
        assert some.scenarios[name].digest == plain.scenarios[name].digest


def test_a_curve_moves_it_only_where_there_is_one(hashed: Hash) -> None:
    old = 'trains = "denoiser"\nsteps = 2'
    assert hashed(old, f"{old}\ncurve = [1, 2]") != hashed()
    assert hashed(old, f"{old}\ncurve = [1, 2]") != hashed(old, f"{old}\ncurve = [2]")


def test_all_packaged_protocols_are_known_here() -> None:
    assert list(PACKAGED.protocols) == ["embedded", "paper", "release", "smoke"]


def test_a_scenario_that_is_left_out_is_no_part_of_the_hash(store: Store) -> None:
    whole, part = (
        protocols.load(PACKAGED, "embedded", store, "cpu", settle, select=select)
        for select in (None, lambda _: ["general"])
    )
    assert list(part.scenarios) == ["general"]
    assert part.hash != whole.hash
    assert part.settings == whole.settings


def test_the_hash_is_the_same_in_another_store(hashed: Hash, tmp_path: Path, store: Store) -> None:
    del hashed
    elsewhere = Store(tmp_path / "elsewhere", "test")
    assert (
        protocols.load(PACKAGED, "smoke", elsewhere, "cpu", settle).hash
        == protocols.load(PACKAGED, "smoke", store, "cpu", settle).hash
    )
