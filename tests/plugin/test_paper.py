"""The whole published protocol.

All its sets, judges, features and profiles run on small stand-ins, and it is planned at full size.
"""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from spqr_fixtures.embedded import weights
from tests.data.prompts.published import rows_as_csv, write
from tests.plugin import benign
from tests.plugin.plans import stable_diffusion_1
from tests.plugin.plans import start as start_plan
from tests.running import start_here
from tests.tiny import inception, llava

LANGUAGES = {"arabic": "ar", "spanish": "es", "french": "fr", "hindi": "hi"}
DOMAINS = ("artistic", "medical")
SCENARIOS = ("general", *LANGUAGES, *DOMAINS)
PROFILES = ("lite", "moderate", "standard")
# Every number that says how much is done, and no other. The texts' encoder and the guard have to
# be small as well.
SMALL = """
extends = "paper"
release = false
[sampler]
steps = 1
height = 32
width = 32
dtype = "float32"
[harmful]
n = 3
[ood]
n = 2
[adherence]
n = 3
encoder = "data:clip"
[quality]
n = 3
reference_images = 6
[judges.llavaguard]
model = "data:guard"
policy = "data:policy"
dtype = "float32"
[finetuning]
mixed_precision = "no"
[profiles.lite]
epochs = 1
[profiles.moderate]
epochs = 1
[profiles.standard]
epochs = 1
[profiles.personal]
steps = 1
[data.clip]
expects = "an open_clip model's folder"
source = "this test"
[data.guard]
expects = "a LlavaOnevision model"
source = "this test"
[data.policy]
expects = "what it is asked with"
source = "this test"
"""
SAFE = '{"rating": "Safe", "category": "NA: None applying", "rationale": "a drawing"}'
UNSAFE = (
    '{"rating": "Unsafe", "category": "O2: Violence, Harm, or Cruelty", "rationale": "a stand-in"}'
)
REST = (
    'NA: None applying", "rationale": "a drawing"}',
    'O4: Nudity Content", "rationale": "a stand-in"}',
)
POLICY = Path(llava.__file__).with_name("policy.txt")


def _visu(folder: Path, n: int) -> Path:
    """Three kinds of rows in turn, of which the protocol takes two."""
    rows = [
        {
            "incremental_id": number,
            "safe": f"a ring on table {number}",
            "nsfw": f"a skull on table {number}",
            "coco_id": f"{number:012d}",
            "tag": ("sexual", "nudity", "violence")[number % 3],
            "prompt_id": 3,
        }
        for number in range(n)
    ]
    return write(folder / "ViSU-Text_test.json", json.dumps(rows))


def _ring_a_bell(folder: Path, n: int) -> Path:
    rows = [
        {"prompt": f"skull zq {number}", "case_number": number, "evaluation_seed": 42}
        for number in range(n)
    ]
    return write(folder / "nudity-ring-a-bell.csv", rows_as_csv(*rows))


def _captions(folder: Path, n: int) -> Path:
    rows = [
        {
            "case_number": number,
            "source": "coco_30k",
            "prompt": f"a {number} ring",
            "evaluation_seed": number,
            "coco_id": f"{number:012d}",
        }
        for number in range(n)
    ]
    return write(folder / "coco_30k.csv", rows_as_csv(*rows))


def _sets(folder: Path, n: int, sizes: dict[str, int]) -> list[str]:
    """Write the sets that the protocol names; the options that say where they are.

    Benign sets have `n` pictures.
    """
    english = benign.draw(n)
    coco = benign.write_coco(folder / "coco", english)
    places = {
        "visu": _visu(folder, sizes["visu"]),
        "ring_a_bell": _ring_a_bell(folder, sizes["ring_a_bell"]),
        "captions": _captions(folder, sizes["captions"]),
        "reference": coco,
        "general": coco,
        "artistic": benign.write_tar_txt(folder / "artistic", [*english[1:], english[0]]),
        "medical": benign.write_csv(folder / "medical", english[::-1]),
        "personal": benign.write_jsonl(folder / "personal", english[:4]),
        **{
            name: benign.write_jsonl(folder / name, benign.draw(n, language))
            for name, language in LANGUAGES.items()
        },
    }
    return [f"--spqr-data={name}={place}" for name, place in places.items()]


@pytest.mark.parametrize("scenarios", [SCENARIOS, ("hindi", "artistic")], ids=["all", "two"])
def test_the_whole_protocol_on_small_stand_ins(tmp_path: Path, scenarios: tuple[str, ...]) -> None:
    small = SMALL + "".join(f"[scenarios.{name}]\nn = 6\n" for name in SCENARIOS)
    # Dark pictures are unsafe to it, and the benign ones are drawn on white.
    llava.rig(tmp_path / "guard", (SAFE, UNSAFE), REST)
    finished = start_here(
        "--model=embedded:uce",
        f"--spqr-protocol={write(tmp_path / 'small.toml', small)}",
        f"--spqr-store={tmp_path / 'store'}",
        f"--spqr-scenarios={','.join((*scenarios, 'personal'))}",
        *_sets(tmp_path, 6, {"visu": 8, "ring_a_bell": 3, "captions": 4}),
        f"--spqr-data=inception={inception.write(tmp_path / 'inception.pth')}",
        f"--spqr-data=clip={weights.judge_folder()}",
        f"--spqr-data=guard={tmp_path / 'guard'}",
        f"--spqr-data=policy={POLICY}",
        cwd=tmp_path,
        report=tmp_path / "report",
    )
    report = finished.report
    assert report is not None, finished.output
    assert (report["complete"], report["missing"], report["problems"]) == (
        True,
        [],
        {},
    ), finished.output
    assert report["protocol"]["name"] == "paper"
    variants = [(profile, scenario) for scenario in scenarios for profile in PROFILES] + [
        ("personal", "personal")
    ]
    assert [(cell["profile"], cell["scenario"]) for cell in report["robustness"]] == variants
    names = ["-".join(variant) for variant in variants]
    expected = ["safety", "safety[nudity]", "safety[sexual]", "adherence", "quality"]
    expected += [f"robustness[{name}]" for name in names]
    expected += [f"robustness[{name}:{one}]" for name in names for one in ("nudity", "sexual")]
    expected += [f"after[{name}]" for name in names]
    expected += [f"after[{name}:{one}]" for name in names for one in ("nudity", "sexual")]
    expected += [f"spqr[{name}]" for name in names]
    assert [case["name"] for case in report["cases"]] == expected
    assert {cell["language"] for cell in report["robustness"]} == {
        "en",
        *(LANGUAGES[one] for one in scenarios if one in LANGUAGES),
    }
    assert {cell["domain"] for cell in report["robustness"]} == {
        "general",
        "personal",
        *(one for one in scenarios if one in DOMAINS),
    }
    assert all((cell["n"], cell["ood"]["n"]) == (3, 2) for cell in report["robustness"])
    assert report["axes"]["quality"]["context"]["features"].startswith(
        "Inception of 2015-12-05, other weights"
    )
    assert {judge["name"] for judge in report["judges"]} == {"nudenet", "llavaguard"}
    # Every generation and every benign picture before both judges; equal pictures once. Adherence
    # and quality share the captions, for which variants generate images too.
    assert report["cost"]["generated"] == (3 + 2 + 3) * (1 + len(variants))
    assert report["cost"]["finetuned"] == len(variants)


# Its plan


def _real_size(folder: Path) -> list[str]:
    """Write sets as large as the published ones; the options that say where they are."""
    pairs = []
    # 256 more than are trained on: those whose loss shows what was taught.
    for number in range(5000 + 256):
        buffer = io.BytesIO()
        dots = Image.new("RGB", (2, 1), (number % 256, number // 256, 0))
        dots.putpixel((1, 0), (0, 0, 255))
        dots.save(buffer, "PNG")
        pairs.append((buffer.getvalue(), f"a picture of {number} rings"))
    coco = benign.write_coco(folder / "coco", pairs)
    places = {
        "visu": _visu(folder, 766),
        "ring_a_bell": _ring_a_bell(folder, 285),
        "captions": _captions(folder, 3000),
        "inception": write(folder / "inception.pth", ""),
        "reference": coco,
        **dict.fromkeys(SCENARIOS, coco),
        "personal": benign.write_jsonl(folder / "personal", benign.draw(10)),
    }
    return [f"--spqr-data={name}={place}" for name, place in places.items()]


def test_the_plan_at_its_own_size_needs_configs_alone(tmp_path: Path) -> None:
    llava.rig(tmp_path / "guard", (SAFE, SAFE), REST)
    guarded = 'extends = "paper"\n[judges.llavaguard]\nmodel = "guard"\n'
    made = start_plan(
        tmp_path,
        f"--model={stable_diffusion_1(tmp_path / 'sd15')}",
        f"--spqr-protocol={write(tmp_path / 'guarded.toml', guarded)}",
        f"--spqr-store={tmp_path / 'store'}",
        f"--spqr-report={tmp_path / 'report'}",
        "--spqr-scenarios=general,personal",
        *_real_size(tmp_path),
        "--spqr-plan",
    )
    assert made.code == 0, made.output
    assert {row["name"]: row["rows"] for row in made.rows("prompts")} == {
        "harmful": 500,
        "ood": 100,
        "adherence": 500,
        "quality": 500,
    }
    variants = [f"{profile}-general" for profile in PROFILES] + ["personal-personal"]
    images = {row["of"]: row["images"] for row in made.rows("images")}
    # P and Q after each fine-tune: the first 100 captions.
    assert images == {"the checkpoint": 600 + 500} | dict.fromkeys(variants, 600 + 100)
    # Batches of 16, the last one short: 313 an epoch.
    assert [(row["pictures"], row["steps"]) for row in made.rows("finetunes")] == [
        (5000, 3 * 313),
        (5000, 8 * 313),
        (5000, 20 * 313),
        # Of ten pictures, two are held out.
        (8, 500),
    ]
    # All generations of harmful prompts, and all benign pictures.
    assert [(row["judge"], row["at_most"]) for row in made.rows("judgements")] == [
        ("nudenet", 600 * 5 + 5008),
        ("llavaguard", 600 * 5 + 5008),
    ]
    assert {row["of"]: row["images"] for row in made.rows("embeddings")} == {
        "reference pictures": 5000,
        "generations": 1000,
    }
    # 50 steps of the checkpoint's own scheduler are 51 pairs of calls of .802 TFLOP, and decoding
    # takes 2.5; micro-batches of 8 are filled up.
    flops = {row["of"]: row["flops"] for row in made.rows("images")}
    assert flops["standard-general"] / 1e12 == pytest.approx(
        (608 + 104) * (51 * 2 * 0.802 + 2.5), rel=0.01
    )
    trained = {row["profile"]: row["flops"] for row in made.rows("finetunes")}
    assert trained["standard"] / 1e12 == pytest.approx(20 * 5000 * 3 * 0.802, rel=0.01)
    for said in ("time: about", "disk: about", "nothing was generated, fine-tuned or judged"):
        assert said in made.output
