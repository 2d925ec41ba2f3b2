"""``python -m spqr_tests store`` on stores with real entries of every kind."""

import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spqr_tests.__main__ import main
from spqr_tests.store import folders, images, looks, manifests, tensors
from spqr_tests.store.store import Store
from tests.tiny import damages

MODELS = {"first": "a" * 64, "second": "b" * 64}


def _key(number: int) -> str:
    return f"{number:02x}" * 32


def _run(folder: Path, model: str, numbers: range) -> None:
    """A run of a model that makes an image, a judgement and a fine-tune for each number."""
    store = Store(folder, model)
    for number in numbers:
        key = _key(number)
        pixels = np.full((8, 8, 3), number, dtype=np.uint8)
        store.put("generations", key, ".png", images.to_png(pixels, "generations", key, {}))
        store.put_record("judgements", key, {"flagged": False})
        weights = {"w": torch.full((3,), float(number))}
        store.fill(
            "finetunes",
            key,
            ".safetensors",
            lambda path, weights=weights, key=key: tensors.save(path, weights, "finetunes", key),
        )
        folders.kept(store, "pictures", key, lambda folder: (folder / "1.txt").touch())
    manifests.note(store, model, MODELS[model], "smoke (123456789abc)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs that share one of their entries each, and an entry of no run."""
    _run(tmp_path / "store", "first", range(3))
    _run(tmp_path / "store", "second", range(2, 4))
    Store(tmp_path / "store", "killed").put_record("judgements", _key(9), {"flagged": True})
    return tmp_path / "store"


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str, store: Path = folder) -> tuple[int, str]:
        code = main(["store", "--store", str(store), *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


Command = Callable[..., tuple[int, str]]


def _names(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for path in (folder / "v2").rglob("*") if path.is_file()
    }


def test_it_lists_by_model_and_protocol(command: Command, folder: Path) -> None:
    (folder / "generations" / "ab").mkdir(parents=True)
    code, said = command("list")
    assert code == 0
    lines = {line.split(" ")[0]: line.split() for line in said.splitlines()}
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert lines["first"][1:6] == ["(aaaaaaaaaaaa)", "smoke", "(123456789abc)", today, "16"]
    assert lines["second"][1:6] == ["(bbbbbbbbbbbb)", "smoke", "(123456789abc)", today, "11"]
    assert "of no finished run: 1 entries" in said
    assert "of earlier versions: generations" in said


def test_it_verifies_every_kind_of_entry(command: Command, folder: Path) -> None:
    assert command("verify") == (0, "23 entries read, 0 damaged\n")
    files = sorted(path for path in (folder / "v2").rglob("*") if path.is_file())
    for path in files:
        whole = path.read_bytes()
        if not whole:
            continue
        for damage in damages.ALL.values():
            path.write_bytes(damage(whole))
            code, said = command("verify")
            assert code == 1, (path, said)
        path.write_bytes(whole)
    assert command("verify")[0] == 0


def test_it_prunes_a_models_runs_and_what_no_other_run_needs(
    command: Command, folder: Path
) -> None:
    before = _names(folder)
    code, said = command("prune", "--model", "first")
    assert (code, _names(folder)) == (0, before)
    assert "would remove: 11 entries" in said
    assert "nothing was removed; add --yes" in said
    assert command("prune", "--model", "aaaaaaaa", "--yes")[0] == 0
    left = before - _names(folder)
    shared, own = _key(2), [_key(0), _key(1)]
    assert all(any(key in name for key in own) or "runs" in name for name in left)
    assert any(shared in name for name in _names(folder))
    assert "first" not in command("list")[1]
    assert command("verify")[0] == 0


def test_it_prunes_by_age_by_size_and_what_no_run_used(command: Command, folder: Path) -> None:
    old = time.time() - 40 * 86400
    assert "would remove: 0 entries" in command("prune", "--days", "30")[1]
    assert "would remove: 22 entries" in command("prune", "--days", "0")[1]
    assert "would remove: 0 entries" in command("prune", "--keep", "1G")[1]
    assert "would remove: 22 entries" in command("prune", "--keep", "0")[1]
    assert "would remove: 0 entries" in command("prune", "--unused")[1], "it may be of a live run"
    os.utime(Store(folder, "x").path("judgements", _key(9), ".json"), (old, old))
    assert "would remove: 1 entries" in command("prune", "--unused")[1]
    # Whoever prunes has asked before all the same.
    store = Store(folder, "x")
    looks.note(store, _key(8), "a hash", 60, 1, "inconclusive")
    os.utime(store.path(looks.KIND, _key(8), ".json"), (old, old))
    assert "would remove: 1 entries" in command("prune", "--unused")[1]
    code, said = command("prune", "--keep", "lots")
    assert (code, said) == (4, "--keep lots: expected a size such as 500M or 50G.\n")


def test_it_prunes_what_is_damaged_and_what_earlier_versions_left(
    command: Command, folder: Path
) -> None:
    (folder / "judgements" / "ab").mkdir(parents=True)
    store = Store(folder, "x")
    store.put("judgements", _key(7), ".json", b"damaged")
    store.record("judgements", _key(7))
    # A store may be in a folder with other things, whatever their names.
    for name in ("pictures/holiday.png", "thesis/draft.txt", "generations/mine/a.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    (folder / "damaged" / "car.jpg").touch()
    assert "would remove: 2 entries" in command("prune", "--damaged", "--earlier")[1]
    assert command("prune", "--damaged", "--earlier", "--yes")[0] == 0
    assert [path.name for path in (folder / "damaged").iterdir()] == ["car.jpg"]
    assert not (folder / "judgements").exists()
    for name in ("pictures/holiday.png", "thesis/draft.txt", "generations/mine/a.png"):
        assert (folder / name).exists()


def test_an_export_is_imported_elsewhere(command: Command, folder: Path, tmp_path: Path) -> None:
    archive, other = tmp_path / "runs.tar", tmp_path / "other"
    other.mkdir()
    assert command("export", "--model", "first", str(archive))[0] == 0
    first = {name for name in _names(folder) if _key(3) not in name and _key(9) not in name}
    code, said = command("import", str(archive), store=other)
    assert (code, said) == (0, "16 entries taken, 0 were there already, 0 refused\n")
    assert _names(other) == {name for name in first if "runs" not in name} | {
        name for name in _names(other) if "runs" in name
    }
    assert command("verify", store=other) == (0, "16 entries read, 0 damaged\n")
    assert "first (aaaaaaaaaaaa)" in command("list", store=other)[1]
    assert "1 entries taken, 15 were there" in command("import", str(archive), store=other)[1]
    assert not list((other / "tmp").iterdir())


@pytest.mark.parametrize("damage", damages.ALL.values(), ids=damages.ALL)
def test_a_damaged_entry_of_an_archive_is_refused(
    command: Command, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    archive, edited, other = tmp_path / "runs.tar", tmp_path / "edited.tar", tmp_path / "other"
    other.mkdir()
    command("export", "--model", "second", str(archive))
    with tarfile.open(archive) as source, tarfile.open(edited, "w") as target:
        for member in source:
            data = source.extractfile(member)
            content = data.read() if data else b""
            if member.name.endswith(f"{_key(3)}.png"):
                content = damage(content)
            member.size = len(content)
            import io

            target.addfile(member, io.BytesIO(content) if data else None)
    code, said = command("import", str(edited), store=other)
    assert code == 1
    assert f"refused generations/{_key(3)[:12]}.png: " in said
    assert not Store(other, "x").path("generations", _key(3), ".png").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v2/../../../escaped.json", "names a file outside"),
        ("/etc/passwd", "is no entry of a store"),
        ("v1/kind/key.json", "is no entry of a store"),
        ("readme", "is no entry of a store"),
    ],
)
def test_an_archive_of_something_else_is_refused(
    command: Command, tmp_path: Path, name: str, said: str
) -> None:
    archive = tmp_path / "some.tar"
    with tarfile.open(archive, "w") as target:
        target.addfile(tarfile.TarInfo(name))
    code, sentence = command("import", str(archive))
    assert code == 4
    assert said in sentence
    (tmp_path / "text").write_text("no tar")
    said = command("import", str(tmp_path / "text"))[1]
    assert "is not a tar file that can be read" in said
    assert said.count("\n") == 1
    assert "cannot be read (No such file" in command("import", str(tmp_path / "gone"))[1]


def test_what_is_asked_for_has_to_be_there(command: Command, tmp_path: Path) -> None:
    code, said = command("list", store=tmp_path / "gone")
    assert (code, said) == (
        4,
        f"There is no store {tmp_path / 'gone'}; pass another with --store.\n",
    )
    code, said = command("export", "--model", "third", str(tmp_path / "x.tar"))
    assert code == 4
    assert "has no finished run of it; it has runs of first, second." in said
    assert not (tmp_path / "x.tar").exists()
    code, said = command("prune", "--yes")
    options = "--model, --days, --keep, --unused, --damaged, --earlier"
    assert (code, said) == (4, f"store prune: say what is to be removed: {options}.\n")
    with pytest.raises(SystemExit):
        command("list", "--modle=x")


def test_the_store_may_be_named_after_what_is_to_be_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ("store", "list", "--store", str(folder)),
        ("store", "--store", str(folder), "list"),
    ):
        assert main(arguments) == 0
        assert str(folder) in capsys.readouterr().out
