"""Hub ids, against a hub on localhost: what is downloaded, and which commit it belongs to."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import hub, pipeline_folder
from spqr_tests.checkpoint.formats.hub import HubId, Snapshot
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.formats import hub_server
from tests.checkpoint.formats.hub.hub_snapshots import ID, UNET, Fetch, files_on_main
from tests.checkpoint.formats.hub_server import Files, Hub
from tests.seconds import PATIENCE
from tests.tiny import backbones


def _read(snapshot: Snapshot) -> Parts:
    return pipeline_folder.read(
        "org/tiny", snapshot.folder, BACKBONES, allow_pickle=False, root=snapshot.root
    )


def _digests(parts: Parts) -> dict[tuple[str, str], str]:
    return {
        (model.name, name): piece.digest()
        for model in parts.models.values()
        for name, piece in model.tensors.items()
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("org/name", HubId("org/name")),
        ("Org-1/some_name.v1-5", HubId("Org-1/some_name.v1-5")),
        ("org/name@main", HubId("org/name")),
        ("org/name@v1.0", HubId("org/name", "v1.0")),
        ("org/name@refs/pr/3", HubId("org/name", "refs/pr/3")),
        ("name", None),
        ("a/b/c", None),
        ("./name", None),
        ("../name", None),
        ("/org/name", None),
        ("org/", None),
        ("org/na me", None),
        ("org/na--me", None),
        ("org/name.", None),
        ("org/" + 100 * "n", None),
        ("models/ckpt.safetensors", None),
        ("embedded:base", None),
    ],
)
def test_what_looks_like_an_id(target: str, expected: HubId | None) -> None:
    assert hub.parse(target) == expected


@pytest.mark.parametrize("target", ["org/name@", "org/name@../x", "org/name@a..b", "org/name@a b"])
def test_what_cannot_be_a_revision(target: str) -> None:
    with pytest.raises(InputError, match="is not a revision"):
        hub.parse(target)


def test_an_id_is_written_as_the_user_wrote_it() -> None:
    assert [str(hub.parse(target)) for target in ("org/name", "org/name@v1")] == [
        "org/name",
        "org/name@v1",
    ]


def test_what_is_loaded_is_downloaded_and_nothing_else(
    served: Hub, fetch: Fetch, cache: Path, folder: Path
) -> None:
    got = fetch()
    assert sorted(served.served) == sorted(hub_server.files(folder))
    assert hub_server.files(got.folder).keys() == set(served.served)
    assert got.revision == served.repositories["org/tiny"].revisions["main"] == got.folder.name
    assert got.root == cache / "models--org--tiny"
    assert _digests(_read(got)) == _digests(
        pipeline_folder.read("", folder, BACKBONES, allow_pickle=False)
    )


def test_without_weights_what_describes_them_is_downloaded(
    served: Hub, fetch: Fetch, folder: Path
) -> None:
    got = fetch(weights=False)
    assert not [name for name in served.served if name.endswith((".safetensors", ".bin", ".ckpt"))]
    with pytest.raises(InputError, match="holds no safetensors weights"):
        _read(got)
    described = pipeline_folder.read(
        "org/tiny", got.folder, BACKBONES, allow_pickle=False, root=got.root, weightless=True
    )
    whole = pipeline_folder.read("", folder, BACKBONES, allow_pickle=False)
    assert {name: model.config for name, model in described.models.items()} == {
        name: model.config for name, model in whole.models.items()
    }
    assert not any(model.tensors for model in described.models.values())


def test_without_weights_those_in_the_cache_are_there(served: Hub, fetch: Fetch) -> None:
    fetch()
    served.forget()
    again = fetch(weights=False)
    assert not served.served
    assert all(model.tensors for model in _read(again).models.values())


def test_a_second_run_downloads_nothing(served: Hub, fetch: Fetch) -> None:
    first = fetch()
    served.forget()
    assert fetch() == first
    assert served.listed
    assert not served.served


def test_shards_are_found_by_their_index(served: Hub, fetch: Fetch, tmp_path: Path) -> None:
    made = backbones.make("sd1")
    made.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    made.save_pretrained(tmp_path / "sharded", max_shard_size="100KB", variant="fp16")
    files = hub_server.files(tmp_path / "sharded")
    assert f"{UNET}.safetensors.index.json" in files
    assert f"{UNET}.safetensors.index.fp16.json" in files
    served.repositories["org/tiny"].commit(files)
    got = fetch()
    assert sorted(served.served) == sorted(name for name in files if "fp16" not in name)
    assert len([name for name in served.served if name.startswith(f"{UNET}-")]) > 1
    assert "unet" in _read(got).models


def test_a_marked_precision_when_there_is_no_other(served: Hub, fetch: Fetch) -> None:
    files = dict(files_on_main(served.repositories["org/tiny"]))
    files[f"{UNET}.fp16.safetensors"] = files.pop(f"{UNET}.safetensors")
    for decoy in (f"{UNET}.non_ema.safetensors", f"{UNET}.safetensors.index.fp16.json"):
        del files[decoy]
    served.repositories["org/tiny"].commit(files)
    got = fetch()
    assert f"{UNET}.fp16.safetensors" in served.served
    assert _read(got).models["unet"].source.name == "diffusion_pytorch_model.fp16.safetensors"


def test_pickles_with_permission_only(served: Hub, fetch: Fetch) -> None:
    files = dict(files_on_main(served.repositories["org/tiny"]))
    del files["text_encoder/model.safetensors"]
    served.repositories["org/tiny"].commit(files)
    with pytest.raises(
        InputError, match=r"org/tiny/text_encoder .*pytorch_model\.bin.* --spqr-allow-pickle"
    ):
        fetch()
    assert not [name for name in served.served if name.endswith((".safetensors", ".bin"))]
    fetch(allow_pickle=True)
    assert [name for name in served.served if name.endswith(".bin")] == [
        "text_encoder/pytorch_model.bin"
    ]


def test_the_description_is_checked_before_weights_come(
    served: Hub, fetch: Fetch, pipeline: Files
) -> None:
    def check(folder: Path, root: Path) -> None:
        pipeline_folder.read_configs("--model org/tiny", folder, BACKBONES, root=root)

    fetch(check=check)
    served.forget()
    index = json.loads(pipeline["model_index.json"]) | {
        "vae": ["diffusers", "AsymmetricAutoencoderKL"]
    }
    changed = {
        "model_index.json": json.dumps(index).encode(),
        "unet/diffusion_pytorch_model.safetensors": b"other weights",
    }
    served.repositories["org/tiny"].commit(pipeline | changed)
    with pytest.raises(
        InputError,
        match=r"names vae = \['diffusers', 'AsymmetricAutoencoderKL'\], which is not among",
    ):
        fetch(check=check)
    assert served.served == ["model_index.json"]


def test_files_that_the_library_shares_among_repositories(
    served: Hub, fetch: Fetch, cache: Path
) -> None:
    first = fetch()
    blob = (first.folder / f"{UNET}.safetensors").resolve()
    shared = cache / "blobs" / "00" / blob.name
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(Path("../../blobs/00") / blob.name)
    served.forget()
    got = fetch()
    assert got == replace(first, root=cache)
    assert "unet" in _read(got).models
    assert fetch(offline_only=True) == got
    assert not served.served


def test_offline_from_the_cache(served: Hub, fetch: Fetch) -> None:
    online = fetch()
    served.forget()
    assert fetch(offline_only=True) == online
    assert fetch(replace(ID, revision=online.revision), offline_only=True) == online
    assert not served.listed
    assert not served.served


def test_a_branch_that_moves_after_the_controller_read_it(
    served: Hub, fetch: Fetch, pipeline: Files
) -> None:
    controller = fetch()
    changed = json.loads(pipeline["scheduler/scheduler_config.json"]) | {"beta_end": 0.013}
    commit = served.repositories["org/tiny"].commit(
        pipeline | {"scheduler/scheduler_config.json": json.dumps(changed).encode()}
    )
    assert fetch(offline_only=True) == controller
    served.forget()
    later = fetch()
    assert later.revision == commit
    # The library recognises the other files by their ETags.
    assert served.served == ["scheduler/scheduler_config.json"]
    assert fetch(offline_only=True) == later
    assert fetch(replace(ID, revision=controller.revision), offline_only=True) == controller
    assert _read(controller).scheduler != _read(later).scheduler


def test_a_branch_that_moves_after_it_was_listed(
    served: Hub, fetch: Fetch, pipeline: Files
) -> None:
    repository = served.repositories["org/tiny"]
    first, second = repository.revisions["main"], repository.commit(pipeline, "next")
    served.moves[""] = second
    with pytest.raises(
        InputError,
        match=f"its revision main moved while it was read, from {first} to {second}; run again",
    ):
        fetch()


def test_a_branch_that_moves_while_it_is_downloaded(
    served: Hub, fetch: Fetch, pipeline: Files
) -> None:
    repository = served.repositories["org/tiny"]
    first = repository.revisions["main"]
    served.moves["model_index.json"] = repository.commit(
        pipeline | {"vae/config.json": b"{}"}, "next"
    )
    got = fetch()
    assert got.revision == first
    assert (got.folder / "vae" / "config.json").read_bytes() == pipeline["vae/config.json"]
    assert repository.revisions["main"] != first


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/3"])
def test_a_revision_by_name(served: Hub, fetch: Fetch, pipeline: Files, revision: str) -> None:
    commit = served.repositories["org/tiny"].commit(pipeline, revision)
    online = fetch(HubId("org/tiny", revision))
    assert online.revision == commit
    assert fetch(HubId("org/tiny", revision), offline_only=True) == online


def test_a_revision_by_commit(served: Hub, fetch: Fetch, pipeline: Files) -> None:
    commit = served.repositories["org/tiny"].revisions["main"]
    served.repositories["org/tiny"].commit(pipeline | {"vae/config.json": b"{}"})
    assert fetch(HubId("org/tiny", commit)).revision == commit


_SCRIPT = """
import sys
from spqr_tests.errors import InputError
from spqr_tests.checkpoint.formats import hub
early = [name for name in ("torch", "huggingface_hub") if name in sys.modules]
try:
    root = hub.snapshot(hub.parse(sys.argv[1]), offline_only=False, allow_pickle=False).root
except InputError as error:
    sys.exit(print(error))
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
print(early, "torch" in sys.modules, are_progress_bars_disabled(), root)
"""


def test_the_environment_is_the_librarys(served: Hub, tmp_path: Path) -> None:
    def run(repository: str, **changed: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment = clean | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": served.endpoint} | changed
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, repository],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        assert done.stderr == ""
        return done.stdout.strip()

    expected = f"[] False True {tmp_path / 'hub' / 'models--org--tiny'}"
    assert run("org/tiny") == expected
    served.forget()
    assert run("org/tiny", HF_HUB_OFFLINE="1") == expected
    assert "is not in the cache" in run("org/tiny@v2", HF_HUB_OFFLINE="1")
    assert not served.listed
