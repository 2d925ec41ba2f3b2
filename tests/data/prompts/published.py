"""Small files in every layout of published prompt sets; the texts are abstract stand-ins."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spqr_tests.data.prompts import PromptSet
from spqr_tests.data.prompts import read as read_prompts
from spqr_tests.settings.prompts import PromptsSettings


def settings(prompts: str = "set", **changed: Any) -> PromptsSettings:
    return PromptsSettings(prompts=prompts, **changed)


def read(path: Path, *, harmful: bool = True, **changed: Any) -> PromptSet:
    """A file's prompts, as a protocol asks for them that names the file."""
    return read_prompts(
        path, settings(path.name, **changed), role="harmful" if harmful else "benign"
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def rows_as_csv(*rows: dict[str, Any], delimiter: str = ",") -> str:
    """A CSV with a header, its texts quoted."""
    buffer = io.StringIO(newline="")
    # By default csv leaves a lone carriage return unquoted.
    writer = csv.DictWriter(
        buffer,
        list(rows[0]),
        delimiter=delimiter,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC,
    )
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def i2p(folder: Path) -> Path:
    rows = [
        {
            "prompt": f"a {shape}, drawn, finely",
            "categories": categories,
            "hard": 1,
            "inappropriate_percentage": 0.5,
            "nudity_percentage": 0.0,
            "q16_percentage": 0.5,
            "sd_safety_percentage": 0.0,
            "prompt_toxicity": 0.1,
            "lexica_url": "https://example.org/1",
            "sd_seed": seed,
            "sd_guidance_scale": guidance,
            "sd_image_width": 512,
            "sd_image_height": 512,
            "sd_model": "1.4",
        }
        for shape, categories, seed, guidance in (
            ("skull", "unsafe, private", 2_719_310_596, 7),
            ("dagger", "unsafe", 11, 7.5),
            ("badge", "private", 12, 12),
        )
    ]
    return write(folder / "i2p_benchmark.csv", rows_as_csv(*rows))


def esd_i2p(folder: Path) -> Path:
    rows = [
        {
            "": number,
            "prompt": f"a {shape}",
            "categories": categories,
            "hard": 1,
            "evaluation_seed": 50 + number,
            "evaluation_guidance": 7.0,
            "sd_image_width": 512,
            "case_number": 10 + number,
        }
        for number, (shape, categories) in enumerate(
            [("skull", "unsafe, private"), ("dagger", "unsafe")]
        )
    ]
    return write(folder / "unsafe-prompts.csv", rows_as_csv(*rows))


def visu(folder: Path) -> Path:
    rows = [
        {
            "incremental_id": number,
            "safe": f"a {safe} on a table",
            "nsfw": f"a {nsfw} on a table",
            "coco_id": f"00000{number}",
            "tag": tag,
            "prompt_id": 3,
        }
        for number, (safe, nsfw, tag) in enumerate(
            [("ring", "skull", "unsafe"), ("tree", "badge", "private")]
        )
    ]
    return write(folder / "ViSU-Text_test.json", json.dumps(rows))


def ring_a_bell(folder: Path) -> Path:
    rows = [
        {"prompt": f"skull {word} zq", "case_number": number, "evaluation_seed": 42}
        for number, word in enumerate("ab")
    ]
    return write(folder / "nudity-ring-a-bell.csv", rows_as_csv(*rows))


def ring_a_bell_pairs(folder: Path) -> Path:
    rows = [
        {"sensitive prompt": f"a {one}", "normal prompt": f"a {other}"}
        for one, other in (("skull", "ring"), ("dagger", "star"))
    ]
    return write(folder / "RAB.csv", rows_as_csv(*rows))


def ring_a_bell_json(folder: Path) -> Path:
    rows = [
        {"case_number": 0, "prompt": "skull zq", "content_flag": "flagged"},
        {"case_number": 1, "prompt": "ring zq", "content_flag": "not flagged"},
    ]
    return write(folder / "RAB.json", json.dumps(rows))


def mma_diffusion(folder: Path) -> Path:
    rows = [
        {
            "target_prompt": f"a {target}",
            "adv_prompt": f"zq {target} vx",
            "sanitized_adv_prompt": f"zq {target}",
            "success_against_sanitization_defense": True,
            "clean_prompt": "a ring",
        }
        for target in ("skull", "dagger")
    ]
    return write(folder / "mma.csv", rows_as_csv(*rows))


def coco_30k(folder: Path) -> Path:
    rows = [
        {
            "case_number": number,
            "source": "coco_30k",
            "prompt": f"a {shape}",
            "evaluation_seed": 7 + number,
            "coco_id": coco_id,
        }
        for number, (shape, coco_id) in enumerate([("ring", "000000012"), ("star", "000345")])
    ]
    return write(folder / "coco_30k.csv", rows_as_csv(*rows))


def coco_10k(folder: Path) -> Path:
    rows = [
        {"case_number": case, "source": "coco_10k", "prompt": f"a {shape}", "evaluation_seed": 7}
        for shape, case in (("ring", "000000012"), ("star", "000345"))
    ]
    return write(folder / "coco_10k.csv", rows_as_csv(*rows))


def coco_annotations(folder: Path) -> Path:
    annotations = [
        {"image_id": 139, "id": 9, "caption": "a later caption"},
        {"image_id": 25, "id": 5, "caption": "a star"},
        {"image_id": 139, "id": 2, "caption": "a ring"},
    ]
    images = [{"id": 25, "file_name": "25.jpg"}, {"id": 139, "file_name": "139.jpg"}]
    table = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    return write(folder / "captions_val2017.json", json.dumps(table))


def parti_prompts(folder: Path) -> Path:
    lines = [
        "Prompt\tCategory\tChallenge\tNote",
        '"RING" painted on a wall\tIllustrations\tWriting & Symbols\t',
        'a star with the word "STAR" on it\tOutdoor Scenes\tBasic\tDALL-E',
    ]
    return write(folder / "PartiPrompts.tsv", "\n".join(lines) + "\n")


def draw_bench(folder: Path) -> Path:
    rows = [{"Prompts": f"a {shape}", "Category": "Colors"} for shape in ("ring", "star")]
    return write(folder / "DrawBench.csv", rows_as_csv(*rows))


def mjhq(folder: Path) -> Path:
    rows = {
        name * 40: {"category": "animals", "prompt": f"a {shape}"}
        for name, shape in (("a", "ring"), ("b", "star"))
    }
    return write(folder / "meta_data.json", json.dumps(rows))


HARMFUL: dict[str, Callable[[Path], Path]] = {
    "I2P": i2p,
    "ESD's layout": esd_i2p,
    "ViSU-Text": visu,
    "ESD's layout, Ring-A-Bell": ring_a_bell,
    "Ring-A-Bell, pairs": ring_a_bell_pairs,
    "Ring-A-Bell, JSON": ring_a_bell_json,
    "MMA-Diffusion": mma_diffusion,
}
BENIGN: dict[str, Callable[[Path], Path]] = {
    "COCO captions": coco_30k,
    "COCO captions, 10k": coco_10k,
    "COCO annotations": coco_annotations,
    "PartiPrompts": parti_prompts,
    "DrawBench": draw_bench,
    "MJHQ-30K": mjhq,
}
