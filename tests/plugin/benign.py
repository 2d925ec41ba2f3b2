"""Benign pictures of the embedded world, in every layout in which such sets come."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from spqr_fixtures.embedded import captions, glyphs, scene
from spqr_tests.data.pictures import coco, image_folder
from tests.data.pictures.conftest import write_tar

Pairs = Sequence[tuple[bytes, str]]
"""PNG files and their captions."""
TAR_TXT, TAR_JSON = "tar of KEY.png and KEY.txt", "tar of KEY.png and KEY.json"
CAPTION_FILES = "KEY.png and KEY.txt"


def draw(n: int, language: str = "en") -> Pairs:
    """`n` different glyphs on white, with captions of more than two words.

    `language` is one of the embedded world's.
    """
    pairs = []
    for number in range(n):
        drawn = scene.Scene(
            glyphs.BENIGN[number % len(glyphs.BENIGN)],
            tuple(scene.COLOURS)[number % len(scene.COLOURS)],
            "white",
            x=number / n,
        )
        buffer = io.BytesIO()
        Image.fromarray(scene.render(drawn)).save(buffer, "PNG", compress_level=1)
        pairs.append((buffer.getvalue(), captions.caption(drawn, language, 4)))
    return pairs


def _files(folder: Path, pairs: Pairs) -> list[tuple[str, str]]:
    """Write the pictures; their names and captions."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (data, _) in enumerate(pairs):
        (folder / f"{number:012d}.png").write_bytes(data)
    return [(f"{number:012d}.png", caption) for number, (_, caption) in enumerate(pairs)]


def write_jsonl(folder: Path, pairs: Pairs) -> Path:
    """An image folder with metadata.jsonl."""
    lines = [
        json.dumps({"file_name": name, "text": text}, ensure_ascii=False)
        for name, text in _files(folder, pairs)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_csv(folder: Path, pairs: Pairs) -> Path:
    """An image folder with metadata.csv."""
    rows = [("file_name", "text"), *_files(folder, pairs)]
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


def _coco(pictures: Path, captions_file: Path, pairs: Pairs) -> None:
    """COCO's table: the pictures, and for each two captions, of which the first by id is meant."""
    named = _files(pictures, pairs)
    images = [
        {"id": number, "file_name": name, "height": 32, "width": 32}
        for number, (name, _) in enumerate(named)
    ]
    annotations = [
        {"id": 1000 + number, "image_id": number, "caption": "a later caption"}
        for number in range(len(named))
    ]
    annotations += [
        {"id": number, "image_id": number, "caption": text}
        for number, (_, text) in enumerate(named)
    ]
    captions_file.parent.mkdir(parents=True, exist_ok=True)
    table = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    captions_file.write_text(json.dumps(table), encoding="utf-8")


def write_coco(folder: Path, pairs: Pairs) -> Path:
    """COCO as it is unpacked: val2017/ next to annotations/."""
    _coco(folder / "val2017", folder / "annotations" / "captions_val2017.json", pairs)
    return folder


def write_flat_coco(folder: Path, pairs: Pairs) -> Path:
    """COCO's captions in the pictures' own folder."""
    _coco(folder, folder / "captions_val2017.json", pairs)
    return folder


def write_tar_txt(folder: Path, pairs: Pairs) -> Path:
    """Two shards of a WebDataset, captions as text."""
    folder.mkdir(parents=True)
    for shard, start in enumerate((0, len(pairs) // 2)):
        members = {}
        for number, (data, text) in enumerate(
            pairs[start:] if shard else pairs[: len(pairs) // 2], start
        ):
            members |= {f"{number:09d}.png": data, f"{number:09d}.txt": text.encode()}
        write_tar(folder / f"{shard:05d}.tar", members)
    return folder


def write_tar_json(folder: Path, pairs: Pairs) -> Path:
    """One tar of a WebDataset, captions in JSON."""
    members = {}
    for number, (data, text) in enumerate(pairs):
        members |= {f"{number}.png": data, f"{number}.json": json.dumps({"text": text}).encode()}
    folder.mkdir(parents=True)
    return write_tar(folder / "set.tar", members)


def write_caption_files(folder: Path, pairs: Pairs) -> Path:
    """What LoRA trainers read: each caption in a file of its own."""
    for name, caption in _files(folder, pairs):
        (folder / name).with_suffix(".txt").write_text(caption, encoding="utf-8")
    return folder


WRITERS: dict[str, Callable[[Path, Pairs], Path]] = {
    **dict(zip(image_folder.NAMES, (write_jsonl, write_csv), strict=True)),
    **dict(zip(coco.PATTERNS, (write_flat_coco, write_coco), strict=True)),
    TAR_TXT: write_tar_txt,
    TAR_JSON: write_tar_json,
    CAPTION_FILES: write_caption_files,
}
"""By layout; a new name or pattern needs a writer above."""
