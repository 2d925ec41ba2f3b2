"""LlavaGuard's model: a folder or a commit of the hub, known by its files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spqr_tests.errors import EvidenceError, InputError
from spqr_tests.judging.judges import model_files
from spqr_tests.judging.judges.model_files import ModelFiles
from spqr_tests.judging.judges.policy import OWN
from spqr_tests.store import digest
from spqr_tests.store.images import Pixels
from tests.checkpoint.formats import hub_server
from tests.judging.judges.guards import FLAGGED, PASSED, _edit_tensors, _judge


def test_a_model_that_lacks_weights_is_refused(copy: Path, bright: list[Pixels]) -> None:
    _edit_tensors(
        copy, lambda tensors: tensors.pop(next(name for name in tensors if "v_proj.weight" in name))
    )
    with pytest.raises(EvidenceError, match="has 1 missing keys, such as "):
        _judge(copy).judge(bright)


def test_a_model_that_cannot_be_loaded_is_named(copy: Path, bright: list[Pixels]) -> None:
    (copy / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"The model .*copy could not be loaded: "):
        _judge(copy).judge(bright)


def test_the_code_of_a_folder_is_not_run(copy: Path, bright: list[Pixels], tmp_path: Path) -> None:
    (copy / "intruder.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    for name, classes in (
        ("config.json", ("AutoConfig", "AutoModel")),
        ("processor_config.json", ("AutoProcessor",)),
    ):
        table = json.loads((copy / name).read_text(encoding="utf-8"))
        table["auto_map"] = dict.fromkeys(classes, "intruder.Thing")
        (copy / name).write_text(json.dumps(table), encoding="utf-8")
    assert _judge(copy).judge(bright) == [PASSED] * 3
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"config\.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json is not JSON"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "llava"}'),
            "of the type 'llava'; expected 'llava_onevision'",
        ),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            r"has no \.safetensors file, and pickles are not read",
        ),
    ],
)
def test_a_folder_that_is_no_such_model_is_refused_at_once(
    copy: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(copy)
    with pytest.raises(InputError, match=rf"The judge guard names the model .*{sentence}"):
        _judge(copy)


@pytest.mark.parametrize("named", ["no/such/folder/here", "/nowhere", "data:guard"])
def test_a_model_that_is_neither_folder_nor_hub_id_is_refused(named: str) -> None:
    with pytest.raises(
        InputError,
        match=(
            rf"The judge guard names the model {named}: there is no folder .*, and it is not a"
            " hub id"
        ),
    ):
        _judge(named)


@pytest.fixture
def hub(fluent: Path) -> Iterator[hub_server.Hub]:
    with hub_server.running() as running:
        running.repositories["org/guard"] = hub_server.Repository()
        running.repositories["org/guard"].commit(
            hub_server.files(fluent)
            | {
                "pytorch_model.bin": b"a pickle",
                "intruder.py": b"1",
                "more/model.safetensors": b"",
            }
        )
        yield running


Find = Callable[..., ModelFiles]


@pytest.fixture
def find(hub: hub_server.Hub, tmp_path: Path) -> Find:
    def found(revision: str = "main", named: str = "org/guard") -> ModelFiles:
        return model_files.find(
            named,
            revision,
            "llava_onevision",
            "guard",
            Path,
            endpoint=hub.endpoint,
            cache=tmp_path / "cache",
        )

    return found


def test_a_model_comes_from_the_hub_at_one_commit(
    hub: hub_server.Hub, find: Find, fluent: Path, bright: list[Pixels], dark: list[Pixels]
) -> None:
    repository = hub.repositories["org/guard"]
    first = find()
    assert first.commit == repository.find("main") == first.folder.name
    assert sorted(hub.served) == sorted(hub_server.files(fluent))
    assert _judge(first.folder).judge([bright[0], dark[0]]) == [PASSED, FLAGGED]
    repository.commit(hub_server.files(fluent) | {"README.md": b"changed"})
    assert find().fingerprint != first.fingerprint
    assert find(first.commit) == first


def test_without_a_network_the_cache_is_used(
    hub: hub_server.Hub, find: Find, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = find()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.status = 500
    assert find() == first
    with pytest.raises(
        InputError,
        match=(
            rf"its revision v9 is not in the cache {tmp_path / 'cache'}, and HF_HUB_OFFLINE is set"
        ),
    ):
        find("v9")


@pytest.mark.parametrize(
    ("named", "revision", "sentence"),
    [
        ("org/gard", "main", "there is no such path, and no such repository"),
        ("org/guard", "v9", "has no revision v9"),
        ("org/empty", "main", "the repository has no model that transformers reads"),
    ],
)
def test_what_the_hub_has_not_is_a_sentence(
    hub: hub_server.Hub, find: Find, named: str, revision: str, sentence: str
) -> None:
    hub.repositories["org/empty"] = hub_server.Repository()
    hub.repositories["org/empty"].commit({"README.md": b""})
    with pytest.raises(
        InputError, match=rf"^The judge guard names the model {named}: .*{sentence}"
    ):
        find(revision, named)


def test_a_branch_that_moves_meanwhile_is_refused(
    hub: hub_server.Hub, find: Find, fluent: Path
) -> None:
    repository = hub.repositories["org/guard"]
    first, commit = (
        repository.find("main"),
        repository.commit(hub_server.files(fluent) | {"README.md": b"changed"}),
    )
    assert first is not None
    repository.revisions["main"] = first
    hub.moves[""] = commit
    with pytest.raises(
        InputError, match="its revision main moved while it was read; run again, or name a commit"
    ):
        find()


@pytest.mark.parametrize(
    "file",
    [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "processor_config.json",
        "chat_template.jinja",
    ],
)
def test_the_fingerprint_is_of_the_files(fluent: Path, copy: Path, file: str) -> None:
    assert _judge(copy).describe().fingerprint == _judge(fluent).describe().fingerprint
    with (copy / file).open("ab") as end:
        end.write(b" ")
    assert _judge(copy).describe().fingerprint != _judge(fluent).describe().fingerprint


@pytest.mark.parametrize(
    "changed", [{"max_new_tokens": 25}, {"dtype": "bfloat16"}, {"batch": 2}], ids=str
)
def test_the_fingerprint_is_of_the_settings(fluent: Path, changed: dict[str, Any]) -> None:
    assert _judge(fluent, **changed).describe().fingerprint != _judge(fluent).describe().fingerprint


def test_the_fingerprint_is_of_the_policys_text(fluent: Path, tmp_path: Path) -> None:
    own, other = tmp_path / "own.txt", tmp_path / "other.txt"
    own.write_text(OWN.text, encoding="utf-8")
    other.write_text(OWN.text + "\n", encoding="utf-8")
    default = _judge(fluent, policy=None).describe().fingerprint
    assert _judge(fluent, policy=str(own)).describe().fingerprint == default
    assert _judge(fluent, policy=str(other)).describe().fingerprint != default


def test_a_local_model_is_named_by_its_files(fluent: Path) -> None:
    described = _judge(fluent).describe()
    assert (described.name, described.settings["revision"]) == ("guard", None)
    assert described.version.startswith("LlavaGuard through transformers ")
    assert len(described.fingerprint) == len(digest.of_json({}))
