"""A user's mistake is answered by one sentence and exit code 4."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

# Imported here so that the runs in this process find it and what it imports: numpy cannot be loaded
# twice.
import spqr_tests.plugin.suite  # noqa: F401
from spqr_fixtures.embedded import weights
from tests.running import PROTOCOL, thresholds
from tests.tiny import backbones

TINY = PROTOCOL.read_text(encoding="utf-8")


Refused = Callable[..., str]


@pytest.fixture
def refused(pytester: pytest.Pytester) -> Refused:
    """Start the suite with these arguments and give the one sentence by which it refuses."""

    def run(*arguments: str | Path, model: str = "embedded:base") -> str:
        given = [f"--model={model}", *map(str, arguments)]
        if not any(argument.startswith("--spqr-protocol") for argument in given):
            given.append(f"--spqr-protocol={PROTOCOL}")
        if not any(argument.startswith("--spqr-thresholds") for argument in given):
            given.append(f"--spqr-thresholds={thresholds(pytester.path)}")
        # In this process: nothing is measured, and a process each would take most of the time.
        result = pytester.runpytest_inprocess(*given, f"--spqr-store={pytester.path / 'store'}")
        assert result.ret == 4
        lines = [line for line in (*result.outlines, *result.errlines) if line.strip()]
        assert len(lines) == 1, lines
        return lines[0]

    return run


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "nowhere",
            (
                "there is no such file or folder. Pass a diffusers pipeline folder, a single"
                " .safetensors file, or a hub id"
            ),
        ),
        (".", "is not a checkpoint: it has no model_index.json"),
        ("embedded:ucf", "there is no embedded checkpoint 'ucf'; there are base"),
        ("embedded:", "there is no embedded checkpoint ''"),
        ("", "--model is empty"),
    ],
)
def test_a_model_that_is_none(refused: Refused, model: str, said: str) -> None:
    assert said in refused(model=model)


def test_a_pipeline_of_another_kind(refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "AudioLDMPipeline"}))
    assert "AudioLDMPipeline" in refused(model=str(folder))


@pytest.fixture(scope="module")
def parts_of_a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow model, a component's folder, a pickle, a stray tensor, a LoRA."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("parts")
    backbones.build("sd3", folder / "sd3")
    base = weights.base_folder()
    shutil.copytree(base / "unet", folder / "unet")
    torch.save({"conv_in.bias": torch.ones(4)}, folder / "unet.pt")
    save_file({"somewhere.else": torch.ones(4)}, folder / "stray.safetensors")
    save_file({"conv_out.bias": torch.ones(4)}, folder / "moved.safetensors")
    encoder = load_file(base / "text_encoder" / "model.safetensors")
    (width,) = (one.numel() for name, one in encoder.items() if "final_layer_norm.weight" in name)
    save_file({"emb_params": torch.ones(1, width)}, folder / "stylish.safetensors")
    down, up = torch.ones(1, 4), torch.ones(4, 1)
    save_file(
        {"lora_unet_a.lora_down.weight": down, "lora_unet_a.lora_up.weight": up},
        folder / "lora.safetensors",
    )
    return folder


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        (
            "unet",
            (),
            (
                "is a part of a model. Pass the pipeline that it belongs to as --model, and this"
                " folder as --spqr-overlay"
            ),
        ),
        ("unet.pt", (), "unet.pt is a pickle"),
        ("stray.safetensors", (), "stray.safetensors"),
        ("lora.safetensors", (), "--spqr-overlay"),
        ("sd3", (), "sampler.scheduler"),
        ("sd3", ("--spqr-config=sd1",), "--spqr-config sd1"),
        (None, ("--spqr-overlay=none.safetensors",), "there is no such file or folder"),
        (None, ("--spqr-overlay={}/unet.pt",), "--spqr-allow-pickle"),
        (None, ("--spqr-overlay={}/stray.safetensors",), "stray.safetensors"),
        (None, ("--spqr-overlay={}/lora.safetensors",), "lora.safetensors"),
        (None, ("--spqr-overlay={}/moved.safetensors@0.5",), "only what is added to them"),
        (None, ("--spqr-overlay={}/moved.safetensors@merge",), "is not an SPM or an ACE adapter"),
        (
            None,
            ("--spqr-overlay={}/stylish.safetensors",),
            "teaches the word 'stylish' by textual inversion, and no prompt of the protocol",
        ),
        (None, ("--spqr-overlay={}/sd3",), "is a whole pipeline; pass it as --model"),
        (
            None,
            ("--spqr-overlay={}/unet",),
            "changes nothing: all of its tensors equal the base's",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_used_as_it_was_given(
    refused: Refused,
    parts_of_a_model: Path,
    model: str | None,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    target = "embedded:base" if model is None else str(parts_of_a_model / model)
    assert said in refused(
        *(argument.format(parts_of_a_model) for argument in arguments), model=target
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--spqr-protocol=papr",), "the packaged protocols are embedded"),
        (("--spqr-protocol=none.toml",), "none.toml cannot be read"),
        (
            ("--spqr-profiles=lite,full",),
            "'full' is not in the protocol, which has lite, moderate, standard",
        ),
        (("--spqr-scenarios=",), "'' is not in the protocol, which has general"),
        (("--spqr-limit=0",), "expected a whole number of prompts, at least 1"),
        (("--spqr-report-images=-1",), "expected a whole number of images, 0 for none"),
        (("--spqr-limit=few",), "expected a whole number of prompts, at least 1"),
        (("--spqr-inconclusive=pass",), "--spqr-inconclusive pass: expected fail or point."),
        (
            ("--spqr-sequential", "--spqr-limit=5"),
            "a limited run decides nothing, so that nothing can stop early",
        ),
        (("--spqr-device=tpu",), "expected auto, cpu, cuda or cuda:N"),
        (("--spqr-profiles=adapter",), "'adapter' is not in the protocol"),
        (("--spqr-adapter=lora.safetensors",), "expected NAME=PATH"),
        (
            ("--spqr-adapter=my-lora=lora.safetensors",),
            "the name 'my-lora' must consist of lower-case letters, digits and underscores",
        ),
        (("--spqr-adapter=mine=none.safetensors",), "there is no such file or folder"),
        (("--spqr-adapter=mine={}/stray.safetensors",), "--spqr-adapter mine="),
        (("--spqr-adapter=mine={}/unet.pt",), "--spqr-allow-pickle"),
        (
            ("--spqr-adapter=general={}/moved.safetensors",),
            "general is a scenario of the protocol tiny",
        ),
        (
            ("--spqr-adapter=a={0}/moved.safetensors", "--spqr-adapter=a={0}/moved.safetensors"),
            "another adapter is already named a",
        ),
        (
            (
                "--spqr-adapter=a={}/moved.safetensors",
                "--spqr-profiles=adapter",
                "--spqr-scenarios=general",
            ),
            (
                "no fine-tune of the protocol is left for general; it is combined with lite,"
                " moderate, standard only"
            ),
        ),
        (("--spqr-thresholds=none.toml",), "none.toml cannot be read"),
        (("--spqr-report=/dev/null",), "the folder /dev/null cannot be made"),
        (
            ("--spqr-baseline=none.json",),
            (
                "none.json cannot be read (No such file or directory). Pass the report.json of an"
                " earlier run"
            ),
        ),
        (
            ("--spqr-baseline={}/stray.safetensors",),
            "is not a report of this suite (spqr-report/2)",
        ),
        (
            ("--spqr-baseline=none.json", "--spqr-limit=3"),
            "--spqr-baseline none.json with --spqr-limit 3: versions are compared",
        ),
        (
            ("--snapshot-update", "--spqr-limit=3"),
            "--snapshot-update with --spqr-limit 3: versions are compared, and kept, on all",
        ),
        (
            ("--spqr-snapshots=none",),
            "none/tiny holds no snapshot of a measurement of this run (protocols with",
        ),
        (
            ("--spqr-snapshots={}/unet.pt",),
            "unet.pt is a file; name another folder with --spqr-snapshots DIR",
        ),
    ],
)
def test_an_option_that_cannot_be_met(
    refused: Refused, parts_of_a_model: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(*(argument.format(parts_of_a_model) for argument in arguments))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'kind = "nudenet"',
            'kind = "nudenat"',
            "judges.nudenet.kind is 'nudenat', which is not a known judge",
        ),
        (
            "[sampler]",
            "[sampler]\nstep = 3",
            "sampler.step is not a known key; allowed here are",
        ),
        ('"FEMALE_BREAST_EXPOSED"', '"FEMALE_BREATS_EXPOSED"', "FEMALE_BREATS_EXPOSED"),
        (
            'kind = "nudenet"',
            'kind = "nudenet"\nthreshold = true',
            "judges.nudenet: threshold is true, and a truth value is not allowed there",
        ),
        ('kind = "nudenet"', 'kind = "nudenet"\nthreshold = 1', "judges.nudenet.threshold"),
        ('kind = "concept"', 'kind = "concept"\ntemplate = "a thing"', "judges.concepts.template"),
        (
            'encoder = "embedded:judge"\nbenign',
            'encoder = "ViT-B-32"\nbenign',
            "The encoder ViT-B-32 needs a pretrained tag",
        ),
        ("ceiling = 0.5", "ceiling = -1", "adherence.ceiling"),
        ("best = 0.0", "best = 3.0", "best (3.0) must be below worst (2.0)"),
        ('about = "benign glyphs"', "", "scenarios.general.about is missing"),
        ("embedded-harmful.jsonl", "harmfull.jsonl", "the prompt set harmfull.jsonl"),
        (
            "embedded:general",
            "embedded:generic",
            "embedded:generic, which the embedded world lacks",
        ),
        (
            'encoder = "embedded:judge"\nbenign',
            'encoder = "embedded:jury"\nbenign',
            "embedded:jury",
        ),
        ("steps = 2\nguidance", "steps = two\nguidance", "is not TOML"),
    ],
)
def test_a_protocol_with_a_mistake(
    refused: Refused, tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in TINY
    path = tmp_path / "mine.toml"
    path.write_text(TINY.replace(old, new, 1), encoding="utf-8")
    assert said in refused(f"--spqr-protocol={path}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[tiny.safety]\nmin",
            "[tiny.safety]\nmim",
            "tiny.safety.mim (did you mean min?); allowed here are min",
        ),
        (
            "[tiny.robustness]",
            '[tiny.robustness.cells]\n"full-general" = 0.5\n[tiny.robustness]',
            "names full-general",
        ),
        (
            "[tiny.safety]\n",
            "[tiny.safety]\nconfidence = 0.99999\n",
            "asks for the confidence 0.99999, which needs 2,000,001 draws",
        ),
    ],
)
def test_thresholds_with_a_mistake(
    refused: Refused, tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        thresholds(tmp_path).read_text(encoding="utf-8").replace(old, new), encoding="utf-8"
    )
    assert said in refused(f"--spqr-thresholds={path}")


def test_a_threshold_of_an_adapter_waits_for_it(
    pytester: pytest.Pytester, parts_of_a_model: Path
) -> None:
    path = thresholds(pytester.path)
    with path.open("a", encoding="utf-8") as file:
        file.write('[tiny.robustness.cells]\n"adapter-mine" = 0.5\n')
    given = (
        "--model=embedded:base",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-thresholds={path}",
        "--collect-only",
        "-q",
    )
    store = f"--spqr-store={pytester.path / 'store'}"
    assert pytester.runpytest_inprocess(*given, store).ret == 0
    moved = parts_of_a_model / "moved.safetensors"
    named = pytester.runpytest_inprocess(
        *given, store, f"--spqr-adapter=mine={moved}", "--spqr-profiles=adapter"
    )
    assert named.ret == 0
    named.stdout.fnmatch_lines(
        ["*brings_no_harm_back?adapter-mine?", "*hold_together?adapter-mine?"]
    )
    assert "general" not in named.stdout.str()
    other = pytester.runpytest_inprocess(*given, store, f"--spqr-adapter=mina={moved}")
    assert other.ret == 4
    other.stderr.fnmatch_lines(
        ["*names adapter-mine, but this run can measure only lite-general*adapter-mina."]
    )


def test_a_caption_that_names_what_is_forbidden(refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = []
    for number, text in enumerate(["a red house", "a skull on white"]):
        Image.linear_gradient("L").rotate(90 * number).save(folder / f"{number}.png")
        rows.append(json.dumps({"file_name": f"{number}.png", "text": text}))
    (folder / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(
        TINY.replace('images = "embedded:general"\nn = 16', 'images = "mine"'), encoding="utf-8"
    )
    said = refused(f"--spqr-protocol={path}")
    assert "the caption of 1.png names 'skull', which the judge concepts forbids" in said
    # A plan of what would be refused says so.
    assert refused(f"--spqr-protocol={path}", "--spqr-plan") == said


def test_a_real_checkpoint_is_asked_for_the_data_of_a_release(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    folder = tmp_path / "large"
    shutil.copytree(weights.base_folder(), folder)
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 64}))
    result = pytester.runpytest_inprocess(f"--model={folder}", f"--spqr-store={tmp_path}")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "*The protocol needs 13 sets of data that are not there:",
            "*visu: the ViSU-Text test split*; access: gated: request access on that page",
            "*medical: *",
            "*--spqr-data visu=PATH --spqr-data ring_a_bell=PATH *",
            "--spqr-scenarios general measures that scenario alone, *",
        ]
    )


def test_a_mistake_is_one_sentence_under_workers_too(refused: Refused) -> None:
    assert "there is no embedded checkpoint" in refused("-n2", model="embedded:none")


def test_a_protocol_without_thresholds_is_told_the_lines_to_add(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    other = thresholds(tmp_path).read_text(encoding="utf-8").replace("tiny", "tine")
    path.write_text(other, encoding="utf-8")
    given = (
        "--model=embedded:base",
        f"--spqr-protocol={PROTOCOL}",
        f"--spqr-thresholds={path}",
        f"--spqr-store={pytester.path / 'store'}",
        "--collect-only",
    )
    result = pytester.runpytest_inprocess(*given)
    assert result.ret == 4
    said = "\n".join(result.errlines)
    assert "has no thresholds for the protocol 'tiny' (did you mean tine?): it has tine." in said
    path.write_text(f"{other}\n{said.partition('./thresholds.toml:')[2]}", encoding="utf-8")
    assert pytester.runpytest_inprocess(*given).ret == 0
