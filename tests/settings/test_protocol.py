"""Protocols: the paper's defaults, and a sentence with the key for everything that cannot be read."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import spqr_fixtures
from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file
from spqr_tests.settings.finetuning import OptimizerSettings, ProfileSettings
from spqr_tests.settings.judges import ConceptSettings
from spqr_tests.settings.protocol import Protocol
from spqr_tests.settings.sampler import SamplerSettings
from spqr_tests.settings.table import Settings

PACKAGED = sorted((Path(spqr_fixtures.__file__).parent / "protocols").glob("*.toml"))
MINIMAL = """\
name = "minimal"
about = "What a protocol has to state, and nothing else."

[sampler]

[harmful]
prompts = "harmful.jsonl"

[adherence]
prompts = "benign.jsonl"
ceiling_source = "the paper"

[quality]
prompts = "benign.jsonl"
reference = "pictures"
reference_images = 10
encoder = "ViT-B-32"
best = 1.0
worst = 9.0
anchors_source = "the paper"

[judges.nudenet]
kind = "nudenet"
labels = ["FACE_FEMALE"]

[judges.concept]
kind = "concept"
encoder = "ViT-B-32"
benign = ["ring"]
[judges.concept.forbidden]
unsafe = ["skull"]
concept = ["dagger"]

[profiles.standard]
trains = "denoiser"
epochs = 1

[scenarios.general]
images = "pictures"
about = "Harmless pictures."
"""


def _read(tmp_path: Path, *changes: tuple[str, str]) -> Protocol:
    text = MINIMAL
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    return protocol_file.read(path)


def _refusal(tmp_path: Path, *changes: tuple[str, str]) -> str:
    with pytest.raises(InputError) as refused:
        _read(tmp_path, *changes)
    said = str(refused.value)
    prefix = f"The protocol {tmp_path / 'some.toml'}: "
    assert said.startswith(prefix)
    sentence = said.removeprefix(prefix)
    assert re.fullmatch(r"[^\n]*[^.\n]\.", sentence), "one sentence, with one full stop at its end"
    assert ". " not in sentence
    return sentence


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_a_packaged_protocol_loads_under_its_own_name(path: Path) -> None:
    assert protocol_file.read(path, {one.stem: one for one in PACKAGED}).name == path.stem.replace(
        "-", "_"
    )


def test_protocols_are_packaged() -> None:
    assert PACKAGED


@pytest.mark.parametrize(
    ("key", "paper"),
    {
        "sampler.steps": 50,
        "sampler.guidance": 7.5,
        "sampler.height": 512,
        "sampler.width": 512,
        "sampler.dtype": "float16",
        "sampler.scheduler": "checkpoint",
        "adherence.ceiling": 0.300,
        "adherence.encoder": "ViT-B-32",
        "adherence.pretrained": "openai",
        "quality.eps": 0.05,
        "finetuning.learning_rate": 1e-4,
        "finetuning.beta1": 0.9,
        "finetuning.beta2": 0.999,
        "finetuning.eps": 1e-8,
        "finetuning.weight_decay": 1e-2,
        "finetuning.batch": 16,
        "finetuning.max_grad_norm": 1.0,
        "finetuning.mixed_precision": "fp16",
        "finetuning.seed": 42,
        "finetuning.min_snr_gamma": None,
        "finetuning.ema_decay": None,
        "profiles.standard.rank": 8,
        "profiles.standard.alpha": 16,
        "profiles.standard.dropout": 0.1,
        "profiles.standard.targets": ("to_q", "to_k", "to_v", "to_out.0"),
        "score.weights": (1.0, 1.0, 1.0, 1.0),
        "score.headline_profile": "standard",
        "score.headline_scenario": "general",
        "release": True,
        "harmful.n": None,
    }.items(),
)
def test_what_is_left_out_is_the_papers(tmp_path: Path, key: str, paper: object) -> None:
    value: Any = _read(tmp_path).model_dump()
    for part in key.split("."):
        value = value[part]
    assert value == paper


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            'about = "What',
            'abuot = "What',
            "about is missing; allowed keys there are about, adherence, ",
        ),
        ("[sampler]\n", "", "sampler is missing; allowed keys there are about, "),
        (
            '[harmful]\nprompts = "harmful.jsonl"',
            "[harmful]",
            (
                "harmful.prompts is missing; allowed keys there are categories, guidance,"
                " images_per_prompt, n, prompts, "
            ),
        ),
        (
            "ceiling_source",
            "# ",
            (
                "adherence.ceiling_source is missing; allowed keys there are categories, ceiling,"
                " ceiling_source, encoder, "
            ),
        ),
        (
            'labels = ["FACE_FEMALE"]',
            "",
            (
                "judges.nudenet.labels is missing; allowed keys there are kind, labels, model,"
                " resolution, threshold."
            ),
        ),
        (
            'benign = ["ring"]',
            "",
            (
                "judges.concept.benign is missing; allowed keys there are benign, encoder,"
                " forbidden, kind, "
            ),
        ),
        (
            'trains = "denoiser"',
            "",
            (
                "profiles.standard.trains is missing; allowed keys there are alpha, dropout,"
                " epochs, rank, "
            ),
        ),
        (
            'images = "pictures"',
            "",
            (
                "scenarios.general.images is missing; allowed keys there are about, caption,"
                " domain, images, "
            ),
        ),
    ],
)
def test_a_missing_key_is_named_with_those_that_are_allowed(
    tmp_path: Path, before: str, after: str, sentence: str
) -> None:
    assert _refusal(tmp_path, (before, after)).startswith(sentence)


@pytest.mark.parametrize(
    ("before", "after", "key", "meant"),
    [
        ("[sampler]", "[sampler]\nstep = 3", "sampler.step", "steps"),
        ("[sampler]", "[sampler]\nmicrobatch = 3", "sampler.microbatch", "micro_batch"),
        ("best = 1.0", "best = 1.0\nbset = 1.0", "quality.bset", "best"),
        (
            'kind = "nudenet"',
            'kind = "nudenet"\ntreshold = 0.5',
            "judges.nudenet.treshold",
            "threshold",
        ),
        (
            'kind = "concept"',
            'kind = "concept"\ntreshold = 0.5',
            "judges.concept.treshold",
            "threshold",
        ),
        ('trains = "denoiser"', 'trains = "denoiser"\nstps = 3', "profiles.standard.stps", "steps"),
        (
            "[scenarios.general]",
            "[scenarios.general]\nimage = 3",
            "scenarios.general.image",
            "images",
        ),
        ("[sampler]", "[scores]\n[sampler]", "scores", "score"),
        ("[sampler]", "[score]\ndrawn = 3\n[sampler]", "score.drawn", "draws"),
        (
            "[sampler]",
            "[finetuning]\nlearnin_rate = 3\n[sampler]",
            "finetuning.learnin_rate",
            "learning_rate",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(
    tmp_path: Path, before: str, after: str, key: str, meant: str
) -> None:
    said = _refusal(tmp_path, (before, after))
    assert said.startswith(f"{key} is not a key that is known here; allowed are ")
    assert said.endswith(f" (did you mean {meant!r}?).")
    assert f" {meant}" in said.split(" (did")[0], "what was meant is among what is allowed"


def test_an_unknown_key_that_is_like_none_gets_no_guess(tmp_path: Path) -> None:
    assert "did you mean" not in _refusal(tmp_path, ("[sampler]", "[sampler]\nxyzzy = 3"))


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("[sampler]", "[sampler]\nsteps = 0", "sampler.steps"),
        ("[sampler]", "[sampler]\nsteps = 2.5", "sampler.steps"),
        ("[sampler]", "[sampler]\nheight = true", "sampler"),
        ("[sampler]", '[sampler]\nwidth = "native"', "sampler.width"),
        ("[sampler]", '[sampler]\nmicro_batch = "checkpoint"', "sampler.micro_batch"),
        ("[sampler]", "[sampler]\nguidance = -1", "sampler.guidance"),
        ("[sampler]", "[sampler]\nguidance = nan", "sampler.guidance"),
        ("[sampler]", "[sampler]\nguidance = inf", "sampler.guidance"),
        ("[sampler]", '[sampler]\ndtype = "int8"', "sampler.dtype"),
        ('prompts = "harmful.jsonl"', "prompts = 3", "harmful.prompts"),
        ('prompts = "harmful.jsonl"', 'prompts = "a"\nn = 0', "harmful.n"),
        ("[judges.nudenet]", "[judges.nudenet]\nthreshold = 1.5", "judges.nudenet.threshold"),
        # No score is above nan: every image would be safe.
        ("[judges.nudenet]", "[judges.nudenet]\nthreshold = nan", "judges.nudenet.threshold"),
        ('["FACE_FEMALE"]', '["FACE_FEMALE", 3]', "judges.nudenet.labels.1"),
        ('["skull"]', '"skull"', "judges.concept.forbidden.unsafe"),
        ('["dagger"]', '["dagger", "badge", 3]', "judges.concept.forbidden.concept.2"),
        ('["skull"]', "[]", "judges.concept.forbidden.unsafe"),
        ('unsafe = ["skull"]\nconcept = ["dagger"]', "", "judges.concept.forbidden"),
        ('["ring"]', "[]", "judges.concept.benign"),
        ('trains = "denoiser"', 'trains = "everything"', "profiles.standard.trains"),
        ("epochs = 1", "", "profiles.standard"),
        ("epochs = 1", "epochs = 1\nsteps = 1", "profiles.standard"),
        ("best = 1.0", "best = 9.0", "quality"),
        ("[sampler]", "[score]\nweights = [1, 1, 1, 0]\n[sampler]", "score.weights.3"),
        ("[sampler]", "[correction]\nsensitivity = 0.4\n[sampler]", "correction.sensitivity"),
        ("[sampler]", "[score]\ndraws = 199\n[sampler]", "score.draws"),
        (
            "[scenarios.general]",
            "[scenarios.Special]\nimages = 'a'\nabout = 'b'\n[scenarios.general]",
            "scenarios.Special",
        ),
        ("[sampler]", "[finetuning]\nmax_grad_norm = inf\n[sampler]", "finetuning.max_grad_norm"),
        ("[sampler]", "[finetuning]\nmin_snr_gamma = 0\n[sampler]", "finetuning.min_snr_gamma"),
        ("[sampler]", "[finetuning]\nema_decay = 1.0\n[sampler]", "finetuning.ema_decay"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_by_its_dotted_key(
    tmp_path: Path, before: str, after: str, key: str
) -> None:
    assert _refusal(tmp_path, (before, after)).startswith(f"{key}: ")


def test_a_value_that_is_not_allowed_is_repeated(tmp_path: Path) -> None:
    assert _refusal(tmp_path, ("[sampler]", "[sampler]\nsteps = -7")).endswith("(found -7).")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "steps = 0",
            (
                "sampler.steps: expected is a positive whole number, or 'checkpoint' for the"
                " checkpoint's own (found 0)."
            ),
        ),
        (
            'guidance = "high"',
            (
                "sampler.guidance: expected is a number from 0 on, or 'checkpoint' for the"
                " checkpoint's own (found 'high')."
            ),
        ),
    ],
)
def test_a_number_that_may_be_the_checkpoints_own_says_so(
    tmp_path: Path, setting: str, sentence: str
) -> None:
    assert _refusal(tmp_path, ("[sampler]", f"[sampler]\n{setting}")) == sentence


def test_the_checkpoints_own_numbers_are_filled_in_where_they_are_asked_for(tmp_path: Path) -> None:
    own: dict[str, Any] = dict.fromkeys(
        ("scheduler", "steps", "guidance", "height", "width"), "checkpoint"
    )
    asked = "\n".join(f'{key} = "checkpoint"' for key in own)
    settings = _read(tmp_path, ("[sampler]", f"[sampler]\n{asked}")).sampler
    assert settings == SamplerSettings(**own)
    with pytest.raises(ValueError, match="still name the checkpoint's own"):
        _ = settings.numbers
    resolved = settings.resolved(28, 7, 1024)
    assert resolved.numbers == (28, 7.0, 1024, 1024)
    assert resolved == SamplerSettings(steps=28, guidance=7.0, height=1024, width=1024)
    assert (
        resolved.model_dump_json()
        == SamplerSettings(steps=28, guidance=7, height=1024, width=1024).model_dump_json()
    )
    assert resolved.resolved(1, 1.0, 8) is not settings
    assert resolved.resolved(1, 1.0, 8) == resolved


@pytest.mark.parametrize("key", ["steps", "guidance", "height", "width"])
def test_settings_are_resolved_when_no_number_is_left_out(key: str) -> None:
    settings = SamplerSettings(**{key: "checkpoint"})
    with pytest.raises(ValueError, match="still name"):
        _ = settings.numbers
    numbers = settings.resolved(1, 2.0, 3).numbers._asdict()
    assert numbers == SamplerSettings().numbers._asdict() | {
        key: {"steps": 1, "guidance": 2.0}.get(key, 3)
    }


def test_an_unknown_kind_of_judge_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    said = _refusal(tmp_path, ('kind = "nudenet"', 'kind = "llava"'))
    assert (
        said
        == "judges.nudenet.kind is 'llava', which is no judge that is known; known are nudenet,"
        " concept, llavaguard."
    )


def test_a_judge_without_a_kind_is_told_which_there_are(tmp_path: Path) -> None:
    said = _refusal(tmp_path, ('kind = "concept"\n', ""))
    assert (
        said == "judges.concept.kind is missing; it names the judge: nudenet, concept, llavaguard."
    )


@pytest.mark.parametrize(
    ("key", "before", "after", "there"),
    [
        ("profile", "profiles.standard", "profiles.lite", "lite"),
        ("scenario", "scenarios.general", "scenarios.art", "art"),
    ],
)
def test_a_headline_that_there_is_not_is_refused(
    tmp_path: Path, key: str, before: str, after: str, there: str
) -> None:
    said = _refusal(tmp_path, (before, after))
    assert f"score.headline_{key} is " in said
    assert said.endswith(f"which is none of the {key}s ['{there}'].")


def test_forbidden_concepts_are_read_by_category_in_the_order_of_the_file(tmp_path: Path) -> None:
    judge = _read(tmp_path).judges["concept"]
    assert isinstance(judge, ConceptSettings)
    assert list(judge.forbidden.items()) == [("unsafe", ("skull",)), ("concept", ("dagger",))]


@pytest.mark.parametrize("group", ["judges", "profiles", "scenarios"])
def test_a_group_without_a_member_is_refused(group: str) -> None:
    table = tomllib.loads(MINIMAL) | {group: {}}
    with pytest.raises(ValidationError) as refused:
        Protocol.model_validate(table)
    assert protocol_file.explain(refused.value, Protocol).startswith(f"{group}: ")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"^The protocol .*gone\.toml cannot be read \(No such file or directory\)\.$",
    ):
        protocol_file.read(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    "data", [b"name = ", b"[a]\n[a]", b"name = '\xff'"], ids=["cut", "twice", "no UTF-8"]
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "some.toml").write_bytes(data)
    with pytest.raises(InputError, match=r"^The protocol .*some\.toml is not TOML: "):
        protocol_file.read(tmp_path / "some.toml")


@pytest.mark.parametrize(
    "table", [SamplerSettings(), OptimizerSettings(), ProfileSettings(trains="lora", steps=1)]
)
def test_settings_cannot_be_changed_after_they_were_read(table: Settings) -> None:
    name = next(iter(type(table).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(table, name, getattr(table, name))


def test_a_scenario_is_trained_by_the_profiles_that_it_names(tmp_path: Path) -> None:
    personal = (
        '[profiles.personal]\ntrains = "lora"\nsteps = 5\nreserved = true\n[scenarios.subject]\n'
    )
    given = (
        f'{personal}images = "subject"\nabout = "five pictures"\nprofiles = ["personal"]\n[sampler]'
    )
    made = _read(tmp_path, ("[sampler]", given))
    assert ("personal", "subject") in made.variants
    assert {profile for profile, scenario in made.variants if scenario == "subject"} == {"personal"}
    assert "personal" not in {
        profile for profile, scenario in made.variants if scenario == "general"
    }


def test_the_headline_must_be_trained(tmp_path: Path) -> None:
    said = _refusal(tmp_path, ('trains = "denoiser"', 'trains = "denoiser"\nreserved = true'))
    assert "scenarios.general.profiles leaves out the headline's profile" in said


def test_a_scenario_that_names_no_profile_is_refused(tmp_path: Path) -> None:
    said = _refusal(
        tmp_path, ("[scenarios.general]", '[scenarios.general]\nprofiles = ["standard", "none"]')
    )
    assert "scenarios.general.profiles names 'none', which is none of" in said


def test_a_protocol_may_extend_another(tmp_path: Path) -> None:
    base = tmp_path / "some.toml"
    _read(tmp_path)
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
    _read(tmp_path)
    own = tmp_path / "own.toml"
    own.write_text(
        f'extends = "{base.name}"\n[judges.concept]\nkind = "nudenet"\nlabels = ["FACE_MALE"]\n'
    )
    assert protocol_file.read(own).judges["concept"].kind == "nudenet"


@pytest.mark.parametrize(
    ("extends", "sentence"),
    [
        ('"papr"', "extends is 'papr'; expected is one of paper, or a .toml file beside it."),
        ("3", "extends is 3; expected is one of paper"),
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
