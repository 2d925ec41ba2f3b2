"""Every row of docs/data.md's table of published files, under the row's name.

A small file of the same structure gives the rows that the table says, in each role.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import InputError
from tests.data.prompts import published
from tests.data.prompts.published import read, rows_as_csv, write

DOCUMENT = Path(__file__).parents[3] / "docs" / "data.md"
SHAPES = ("ring", "star", "tree", "heart")


@dataclass(frozen=True)
class File:
    """A small file, its rows, and how many of them each role reads; None if it is refused."""

    write: Callable[[Path], Path]
    rows: int
    harmful: int | None
    benign: int | None


def _csv(name: str, header: str, *, rows: int = 2, **cells: Any) -> Callable[[Path], Path]:
    """Writes a CSV with these columns; a cell is a list with a value a row, or one for all."""
    columns = header.split(",")

    def written(folder: Path) -> Path:
        table = [
            {
                column: _cell(column, number, cells.get(column.replace(" ", "_")))
                for column in columns
            }
            for number in range(rows)
        ]
        return write(folder / name, rows_as_csv(*table))

    return written


def _cell(column: str, number: int, value: Any) -> Any:
    if isinstance(value, list):
        return value[number]
    if value is not None:
        return value
    usual = {
        "": number,
        "Unnamed: 0": number,
        "prompt": f"a {SHAPES[number]}",
        "evaluation_seed": 40 + number,
    }
    return usual.get(column, number)


def _text(name: str, text: str) -> Callable[[Path], Path]:
    return lambda folder: write(folder / name, text)


ESD_I2P = (
    ",prompt,categories,hard,inappropriate_percentage,nudity_percentage,q16_percentage,"
    "sd_safety_percentage,prompt_toxicity,lexica_url,evaluation_seed,evaluation_guidance,"
    "sd_image_width,sd_image_height,sd_model,case_number"
)
FILES: Mapping[str, File] = {
    "I2P: `i2p_benchmark.csv`": File(published.i2p, 3, 3, None),
    "ESD, P4D: `unsafe-prompts4703.csv`": File(
        _csv("unsafe-prompts4703.csv", ESD_I2P, categories="violence, hate"), 2, 2, None
    ),
    "UnlearnDiffAtk: `nudity.csv`, `violence.csv`, `illegal.csv`": File(
        _csv("violence.csv", ESD_I2P, categories=["violence", ""]), 2, 2, None
    ),
    "UnlearnDiffAtk: `church.csv` and other objects": File(
        _csv("church.csv", "case_number,prompt,evaluation_seed,evaluation_guidance"), 2, 2, 2
    ),
    "UnlearnDiffAtk: `vangogh.csv`": File(
        _csv("vangogh.csv", "Unnamed: 0,case_number,prompt,evaluation_seed,artist"), 2, 2, 2
    ),
    "ESD: `big_artist_prompts.csv`, `short_niche_art_prompts.csv`": File(
        _csv("big_artist_prompts.csv", ",case_number,prompt,evaluation_seed,artist"), 2, 2, 2
    ),
    "ESD: `generic_artists_prompts.csv`": File(
        _csv("generic.csv", "case_number,data,prompt,artist,evaluation_seed"), 2, 2, 2
    ),
    "ESD: `small_imagenet_prompts.csv`": File(
        _csv("small_imagenet_prompts.csv", ",case_number,prompt,evaluation_seed,class"), 2, 2, 2
    ),
    "UCE: `*_profession_prompts.csv`": File(
        _csv("test_profession_prompts.csv", "case_number,prompt,evaluation_seed,profession"),
        2,
        2,
        2,
    ),
    "UCE: `prompts_dir/erased-*.csv`": File(
        _csv(
            "erased-1artists.csv",
            ",case_number,prompt,evaluation_seed,artist,type",
            rows=3,
            type=["erased", "preserved", "preserved"],
        ),
        3,
        1,
        2,
    ),
    "MACE: `celebrity_*_concepts.csv`, `art_100_concepts.csv`": File(
        _csv(
            "celebrity_1_concepts.csv",
            ",type,prompt,evaluation_seed",
            rows=4,
            type=["erased", "others", "erased", "others"],
        ),
        4,
        2,
        2,
    ),
    "tables whose `type` is 0 or 1": File(
        _csv("types.csv", ",type,prompt,evaluation_seed", type=[0, 1]), 2, None, None
    ),
    "ESD: `coco_30k.csv` (`image_id`, `source`)": File(
        _csv(
            "coco_30k.csv",
            "image_id,source,prompt,evaluation_seed",
            image_id=["000000203564", "000000179765"],
            source="coco-30k",
        ),
        2,
        None,
        2,
    ),
    "UnlearnDiffAtk: `coco_10k.csv`": File(
        _csv(
            "coco_10k.csv",
            "case_number,source,prompt,evaluation_seed",
            case_number=["000000203564", "000000179765"],
            source="coco-30k",
        ),
        2,
        None,
        2,
    ),
    "MACE: `coco_30k.csv`, RECE: `coco_30k_val.csv` (`coco_id`)": File(
        _csv(
            "coco_30k.csv", "case_number,source,prompt,evaluation_seed,coco_id", source="coco-30k"
        ),
        2,
        None,
        2,
    ),
    "`coco_30k.csv` with `image_id` and no `source`": File(
        _csv("coco_30k.csv", "image_id,prompt,evaluation_seed,width,height", width=640, height=480),
        2,
        None,
        2,
    ),
    "`coco_30k.csv` with `evaluation_guidance`": File(
        _csv(
            "coco_30k.csv",
            "case_number,source,prompt,evaluation_seed,evaluation_guidance",
            source="COCO",
        ),
        2,
        None,
        2,
    ),
    "AdvUnlearn: `coco_object_retain.csv`": File(
        _csv("coco_object_retain.csv", "case_num,source,prompt", source="coco_object"), 2, None, 2
    ),
    "COCO: `captions_val2017.json`": File(published.coco_annotations, 3, None, 2),
    "ViSU-Text: `ViSU-Text_test.json`": File(published.visu, 2, 2, 2),
    "Ring-A-Bell: `nudity-ring-a-bell.csv`": File(published.ring_a_bell, 2, 2, 2),
    "RECE: `vangogh-ring-a-bell.csv`": File(published.ring_a_bell_pairs, 2, 2, 2),
    "the benchmark's own `RAB.json`": File(published.ring_a_bell_json, 2, 2, None),
    "MMA-Diffusion: `mma-diffusion-nsfw-adv-prompts.csv`": File(
        published.mma_diffusion, 2, 2, None
    ),
    "CoProV2: `CoProv2_test.csv`": File(_csv("CoProv2_test.csv", "image,prompt"), 2, 2, 2),
    "Six-CD: `Dual-Version/*/malicious.csv`, `clean.csv`, `benign.csv`": File(
        _csv("clean.csv", "case_number,evaluation_seed,prompt"), 2, 2, 2
    ),
    "Six-CD: `SIX-CD/Object.csv`": File(
        _csv("Object.csv", "id,concept", concept=["ring", "star"]), 2, None, None
    ),
    "PartiPrompts: `PartiPrompts.tsv`": File(published.parti_prompts, 2, None, 2),
    "DrawBench: `DrawBench.csv`": File(published.draw_bench, 2, None, 2),
    "MJHQ-30K: `meta_data.json`": File(published.mjhq, 2, None, 2),
    "HPSv2: `anime.json`, `photo.json`, `paintings.json`, `concept-art.json`": File(
        _text("anime.json", json.dumps(["a ring", "a star"])), 2, 2, 2
    ),
    "DiffusionDB: `metadata.parquet`": File(_text("metadata.parquet", "PAR1"), 0, None, None),
    "SneakyPrompt and others: a `.txt` with a prompt a line": File(
        _text("prompts.txt", "a ring\na star\n"), 2, None, None
    ),
    "a `.csv` with a prompt a line and no header": File(
        _text("prompts.csv", "a ring\na star, drawn\n"), 2, None, None
    ),
}


@dataclass(frozen=True)
class Documented:
    """A row of the table in docs/data.md."""

    harmful: str
    benign: str
    left_out: str


def _documented() -> dict[str, Documented]:
    section = DOCUMENT.read_text(encoding="utf-8").split("### Published files")[1].split("\n#")[0]
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: Documented(*row[2:5]) for row in rows[2:]}


DOCUMENTED = _documented()


@pytest.mark.parametrize("role", ["harmful", "benign"])
@pytest.mark.parametrize("name", FILES)
def test_a_published_file_is_read_as_the_document_says(
    tmp_path: Path, name: str, role: str
) -> None:
    file = FILES[name]
    expected = file.harmful if role == "harmful" else file.benign
    path = file.write(tmp_path)
    said = getattr(DOCUMENTED[name], role)
    if expected is None:
        assert said == "refused"
        with pytest.raises(InputError) as raised:
            read(path, harmful=role == "harmful")
        assert str(path) in str(raised.value)
        return
    found = read(path, harmful=role == "harmful")
    assert len(found.rows) == expected
    assert said == "all" if expected == file.rows else said not in {"all", "refused"}
    left_out = [note for note in found.notes if "left out" in note]
    assert bool(left_out) == (expected < file.rows) == bool(DOCUMENTED[name].left_out)


def test_the_documents_files_and_the_tests_are_the_same() -> None:
    assert list(DOCUMENTED) == list(FILES)
