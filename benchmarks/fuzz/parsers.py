"""The parsers, each with valid small files from which inputs are made and a way to read one."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz import samples, shapes
from benchmarks.fuzz.shapes import Shape
from spqr_tests import files
from spqr_tests.checkpoint import config_bounds
from spqr_tests.checkpoint.formats.gguf_file import GgufFile
from spqr_tests.checkpoint.formats.pickle_file import PickleFile
from spqr_tests.checkpoint.formats.safetensors_file import SafetensorsFile
from spqr_tests.checkpoint.formats.tensor import TensorFile
from spqr_tests.data.pictures import reading as benign_sets
from spqr_tests.data.prompts import reading as prompt_sets
from spqr_tests.settings import protocol_file
from spqr_tests.settings.prompts import PromptsSettings
from spqr_tests.store import pictures
from spqr_tests.store.store import Store
from spqr_tests.verdict import threshold_file


@dataclass(frozen=True)
class Parser:
    """One parser."""

    name: str
    """The input's file name, too, as far as it matters."""
    valid: tuple[bytes, ...]
    read: Callable[[Path], object]
    shape: Shape = shapes.PLAIN
    words: tuple[bytes, ...] = samples.TEXT
    """What inputs are made to hold, besides any bytes."""


def _tensors(file: TensorFile) -> None:
    for name in list(file.tensors)[:4]:
        file.tensor(name)
        list(file.blocks(name, 0, 0))


def _json(path: Path) -> None:
    config = files.json_object(path)
    config_bounds.require_scheduler(path, config)
    config_bounds.require_model(path, config)


def _prompts(path: Path) -> None:
    # Harmful and benign sets are read by the same code but for its end; one input is read as one.
    role = "harmful" if path.stat().st_size % 2 else "benign"
    settings = PromptsSettings(prompts=path.name)
    prompt_sets.read(path, settings, role=role).chosen(settings)  # type: ignore[arg-type]


def _benign(path: Path) -> None:
    for name, content in samples.PICTURES.items():
        (path.parent / name).write_bytes(content)
    benign_sets.read(path)


def _web_dataset(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as store:
        benign_sets.read(path, store=Store(Path(store), "fuzz"))


def _picture(path: Path) -> None:
    pictures.require(path)
    pictures.identity(path)
    pictures.read_rgb(path)


def known() -> Mapping[str, Parser]:
    """All parsers by name."""
    table = samples.TABLE_WORDS
    found = (
        Parser(
            "a.safetensors",
            samples.safetensors(),
            lambda path: _tensors(SafetensorsFile(path)),
            shapes.SAFETENSORS,
            samples.HEADER_WORDS,
        ),
        Parser(
            "a.ckpt",
            samples.pickles(),
            lambda path: _tensors(PickleFile(path)),
            shapes.ARCHIVE,
            samples.PICKLE_WORDS,
        ),
        Parser(
            "a.gguf",
            samples.ggufs(),
            lambda path: _tensors(GgufFile(path)),
            words=samples.GGUF_WORDS,
        ),
        Parser("a.json", samples.JSON, _json, words=samples.JSON_WORDS),
        Parser("a.toml", samples.TOML, files.toml, words=samples.TOML_WORDS),
        Parser("protocol.toml", samples.PROTOCOL, protocol_file.read, words=samples.TOML_WORDS),
        Parser(
            "thresholds.toml", samples.THRESHOLDS, threshold_file.load, words=samples.TOML_WORDS
        ),
        Parser("set.csv", samples.CSV, _prompts, words=table),
        Parser("set.tsv", samples.TSV, _prompts, words=table),
        Parser("set.json", samples.PROMPTS_JSON, _prompts, words=samples.JSON_WORDS),
        Parser("set.jsonl", samples.PROMPTS_JSONL, _prompts, words=samples.JSON_WORDS),
        Parser("captions_a.json", samples.COCO, _benign, words=samples.JSON_WORDS),
        Parser("metadata.jsonl", samples.METADATA_JSONL, _benign, words=samples.JSON_WORDS),
        Parser("metadata.csv", samples.METADATA_CSV, _benign, words=table),
        Parser("a.tar", samples.tars(), _web_dataset, shapes.TAR, samples.TAR_WORDS),
        Parser("a.png", samples.PNG, _picture, shapes.PNG, samples.PICTURE_WORDS),
        Parser("a.jpg", samples.OTHER_PICTURES, _picture, words=samples.PICTURE_WORDS),
    )
    names = (
        *("safetensors", "pickle", "gguf", "json", "toml", "protocol", "thresholds", "csv", "tsv"),
        *("prompts-json", "prompts-jsonl", "coco", "metadata-jsonl", "metadata-csv"),
        *("webdataset", "png", "pictures"),
    )
    return dict(zip(names, found, strict=True))
