"""Small sets in each published layout."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def picture(number: int = 0, form: str = "PNG", side: int = 4) -> bytes:
    """A picture's file, another one for each number."""
    buffer = io.BytesIO()
    drawn = Image.new("RGB", (side, side), (number, 0, 0))
    drawn.paste((0, 0, 255), (0, 0, side // 2, side))
    drawn.save(buffer, form)
    return buffer.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """A plain tar with these members, in order."""
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def coco_table(n: int = 3) -> dict[str, Any]:
    """COCO's captions of `n` pictures, two each; of the first picture's, the one with the lower id
    comes last.
    """
    numbers = list(range(n))
    annotations = [
        {"id": 10 * number + 5, "image_id": number, "caption": f"later {number}"}
        for number in numbers
    ]
    annotations += [
        {"id": 10 * number, "image_id": number, "caption": f"first {number}"} for number in numbers
    ]
    images = [
        {"id": number, "file_name": f"{number:012d}.jpg", "height": 4, "width": 4}
        for number in reversed(numbers)
    ]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations}


def write_coco(captions: Path, pictures: Path, table: Mapping[str, Any] | None = None) -> Path:
    """The captions' file and three pictures."""
    for folder in (captions.parent, pictures):
        folder.mkdir(parents=True, exist_ok=True)
    captions.write_text(json.dumps(coco_table() if table is None else table), encoding="utf-8")
    for number in range(3):
        (pictures / f"{number:012d}.jpg").write_bytes(picture(number, "JPEG"))
    return captions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures without metadata, and one outside."""
    made = tmp_path / "set"
    made.mkdir()
    for number in range(3):
        (made / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "outside.png").write_bytes(picture(9))
    return made
