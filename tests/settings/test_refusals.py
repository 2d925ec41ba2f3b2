"""A protocol that cannot be used: the key, what is wrong with it, and what is allowed."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from spqr_tests.errors import InputError
from spqr_tests.settings import protocol_file
from spqr_tests.settings.protocol import Protocol
from tests.settings.minimal import MINIMAL, refusal


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            'about = "What',
            'abuot = "What',
            "about is missing; allowed keys here are about, adherence, ",
        ),
        ("[sampler]\n", "", "sampler is missing; allowed keys here are about, "),
        (
            '[harmful]\nprompts = "harmful.jsonl"',
            "[harmful]",
            (
                "harmful.prompts is missing; allowed keys here are categories, cut, guidance,"
                " images_per_prompt, n, prompts, sample, seed, seeding, where."
            ),
        ),
        (
            "ceiling_source",
            "# ",
            (
                "adherence.ceiling_source is missing; allowed keys here are categories, ceiling,"
                " ceiling_source, cut, encoder, "
            ),
        ),
        (
            'trains = "denoiser"',
            'trains = "denoiser"\ncurve = 100',
            "profiles.standard.curve: expected a list (found 100).",
        ),
        (
            'benign = ["ring"]',
            'benign = "ring"',
            "judges.concept.benign: expected a list (found 'ring').",
        ),
        ("[sampler]\n", "sampler = 3\n[other]\n", "sampler: expected a table (found 3)."),
        (
            'labels = ["FACE_FEMALE"]',
            "",
            (
                "judges.nudenet.labels is missing; allowed keys here are kind, labels, model,"
                " resolution, threshold."
            ),
        ),
        (
            'benign = ["ring"]',
            "",
            (
                "judges.concept.benign is missing; allowed keys here are benign, encoder,"
                " forbidden, kind, "
            ),
        ),
        (
            'trains = "denoiser"',
            "",
            (
                "profiles.standard.trains is missing; allowed keys here are accumulation, alpha,"
                " alphas, batch, "
            ),
        ),
        (
            'images = "pictures"',
            "",
            (
                "scenarios.general.images is missing; allowed keys here are about, caption,"
                " domain, images, "
            ),
        ),
    ],
)
def test_a_missing_key_is_named_with_those_that_are_allowed(
    tmp_path: Path, before: str, after: str, sentence: str
) -> None:
    assert refusal(tmp_path, (before, after)).startswith(sentence)


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
    said = refusal(tmp_path, (before, after))
    assert said.startswith(f"{key} is not a known key; allowed here are ")
    assert said.endswith(f" (did you mean {meant!r}?).")
    assert f" {meant}" in said.split(" (did")[0], "what was meant is among what is allowed"


def test_an_unknown_key_that_is_like_none_gets_no_guess(tmp_path: Path) -> None:
    assert "did you mean" not in refusal(tmp_path, ("[sampler]", "[sampler]\nxyzzy = 3"))


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
        ("[sampler]", "[harmful.where]\n[sampler]", "harmful.where"),
        ("[sampler]", "[harmful.where]\ntype = '1'\n[sampler]", "harmful.where"),
        ("[sampler]", "[harmful.where]\ntype = []\n[sampler]", "harmful.where"),
        ("[sampler]", "[harmful.where]\ntype = [[1]]\n[sampler]", "harmful.where"),
        ("[sampler]", "[harmful.where]\ntype = [1]\nType = [0]\n[sampler]", "harmful.where"),
        ('prompts = "harmful.jsonl"', 'prompts = "a"\nwhere = ["a"]', "harmful.where"),
        ('prompts = "harmful.jsonl"', 'prompts = "a"\nwhere = true', "harmful"),
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
    assert refusal(tmp_path, (before, after)).startswith(f"{key}: ")


def test_a_value_that_is_not_allowed_is_repeated(tmp_path: Path) -> None:
    assert refusal(tmp_path, ("[sampler]", "[sampler]\nsteps = -7")).endswith("(found -7).")


def test_an_unknown_kind_of_judge_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    said = refusal(tmp_path, ('kind = "nudenet"', 'kind = "llava"'))
    assert (
        said
        == "judges.nudenet.kind is 'llava', which is not a known judge; known are nudenet, concept,"
        " llavaguard, classifier."
    )


def test_a_judge_without_a_kind_is_told_which_there_are(tmp_path: Path) -> None:
    said = refusal(tmp_path, ('kind = "concept"\n', ""))
    assert (
        said == "judges.concept.kind is missing; it names the judge: nudenet, concept, llavaguard,"
        " classifier."
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
    said = refusal(tmp_path, (before, after))
    assert f"score.headline_{key} is " in said
    assert said.endswith(f"which is not one of the {key}s ['{there}'].")


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
    with pytest.raises(InputError, match=r"Expected a TOML file, or one of paper, release\.$"):
        protocol_file.read(tmp_path / "relase", dict.fromkeys(("paper", "release"), tmp_path))


@pytest.mark.parametrize("data", [b"name = ", b"[a]\n[a]"], ids=["cut", "twice"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "some.toml").write_bytes(data)
    with pytest.raises(InputError, match=r"^The protocol .*some\.toml is not TOML: "):
        protocol_file.read(tmp_path / "some.toml")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            '[ood]\nprompts = "p"\npromts = 1',
            "ood.promts is not a known key; allowed here are categories, cut, ",
        ),
        (
            "[correction]\nsensitivity = 1",
            (
                "correction.sensitivity_n is missing; allowed keys here are sensitivity,"
                " sensitivity_n, source, specificity, specificity_n."
            ),
        ),
    ],
)
def test_an_optional_table_says_what_it_allows(tmp_path: Path, table: str, sentence: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f"{MINIMAL}\n{table}\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        protocol_file.read(path)
    assert sentence in str(raised.value)
