"""Hub ids, against a hub on localhost: what is downloaded, which commit it is of, and what is said when it cannot be had."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import hub, hub_refusal, pipeline_folder
from spqr_tests.checkpoint.formats.hub import HubId, Snapshot
from spqr_tests.checkpoint.parts import Parts
from spqr_tests.errors import InputError
from tests.checkpoint.formats import hub_server
from tests.checkpoint.formats.hub_server import Files, Hub, Repository
from tests.tiny import backbones

_UNET = "unet/diffusion_pytorch_model"
_ID = HubId("org/tiny")
# What published repositories hold besides, and nobody here may download.
_DECOYS = (
    "tiny-v1.ckpt",
    "tiny-v1.safetensors",
    "README.md",
    f"{_UNET}.fp16.safetensors",
    f"{_UNET}.non_ema.safetensors",
    f"{_UNET}.safetensors.index.fp16.json",
    f"{_UNET}.bin",
    "unet/flax_model.msgpack",
    "unet/model.onnx",
    "unet/onnx/config.json",
    "text_encoder/pytorch_model.bin",
    "text_encoder/openvino_model.bin",
    "vae_decoder/model.onnx",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "feature_extractor/preprocessor_config.json",
)
Fetch = Callable[..., Snapshot]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backbones.build("sd1", tmp_path_factory.mktemp("sd1"))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Files:
    """A published pipeline, as its repository holds it."""
    held = hub_server.files(folder)
    index = json.loads(held["model_index.json"])
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    return held | {"model_index.json": json.dumps(index).encode()} | dict.fromkeys(_DECOYS, b"{}")


@pytest.fixture(scope="module")
def _server() -> Iterator[Hub]:
    with hub_server.running() as running:
        yield running


@pytest.fixture
def served(_server: Hub, pipeline: Files, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, which holds the pipeline as org/tiny."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    _server.repositories = {_ID.repository: Repository()}
    _server.repositories[_ID.repository].commit(pipeline)
    _server.status = None
    _server.moves = {}
    _server.forget()
    return _server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def fetch(served: Hub, cache: Path) -> Fetch:
    """`hub.snapshot` with this hub and a cache of its own."""

    def run(hub_id: HubId = _ID, **options: object) -> Snapshot:
        settings = {
            "offline_only": False,
            "allow_pickle": False,
            "endpoint": served.endpoint,
            "cache": cache,
        }
        return hub.snapshot(hub_id, **(settings | options))  # type: ignore[arg-type]

    return run


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


def _of(repository: Repository) -> Files:
    return repository.commits[repository.revisions["main"]]


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
    with pytest.raises(InputError, match="is no revision"):
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
    assert f"{_UNET}.safetensors.index.json" in files
    assert f"{_UNET}.safetensors.index.fp16.json" in files
    served.repositories["org/tiny"].commit(files)
    got = fetch()
    assert sorted(served.served) == sorted(name for name in files if "fp16" not in name)
    assert len([name for name in served.served if name.startswith(f"{_UNET}-")]) > 1
    assert "unet" in _read(got).models


def test_a_shard_that_the_repository_lacks(served: Hub, fetch: Fetch) -> None:
    files = {
        name: content
        for name, content in _of(served.repositories["org/tiny"]).items()
        if not name.startswith(_UNET)
    }
    index = {"weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00001.safetensors"}}
    served.repositories["org/tiny"].commit(
        files | {f"{_UNET}.safetensors.index.json": json.dumps(index).encode()}
    )
    with pytest.raises(
        InputError,
        match=(
            r"has no unet/diffusion_pytorch_model-00001-of-00001\.safetensors, which its pipeline"
        ),
    ):
        fetch()
    assert not [name for name in served.served if name.endswith(".safetensors")]


def test_a_marked_precision_when_there_is_no_other(served: Hub, fetch: Fetch) -> None:
    files = dict(_of(served.repositories["org/tiny"]))
    files[f"{_UNET}.fp16.safetensors"] = files.pop(f"{_UNET}.safetensors")
    for decoy in (f"{_UNET}.non_ema.safetensors", f"{_UNET}.safetensors.index.fp16.json"):
        del files[decoy]
    served.repositories["org/tiny"].commit(files)
    got = fetch()
    assert f"{_UNET}.fp16.safetensors" in served.served
    assert _read(got).models["unet"].source.name == "diffusion_pytorch_model.fp16.safetensors"


def test_pickles_with_permission_only(served: Hub, fetch: Fetch) -> None:
    files = dict(_of(served.repositories["org/tiny"]))
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
    blob = (first.folder / f"{_UNET}.safetensors").resolve()
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
    assert fetch(replace(_ID, revision=online.revision), offline_only=True) == online
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
    # The library knows the others by their ETags.
    assert served.served == ["scheduler/scheduler_config.json"]
    assert fetch(offline_only=True) == later
    assert fetch(replace(_ID, revision=controller.revision), offline_only=True) == controller
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


def _single(hub: Hub) -> None:
    hub.repositories["org/tiny"].commit({"tiny-v1.safetensors": b"", "README.md": b""})


def _nothing(hub: Hub) -> None:
    hub.repositories["org/tiny"].commit({"README.md": b""})


def _refusing(code: str) -> Callable[[Hub], None]:
    def change(hub: Hub) -> None:
        hub.repositories["org/tiny"].refused = code

    return change


def _without(*names: str) -> Callable[[Hub], None]:
    def change(hub: Hub) -> None:
        repository = hub.repositories["org/tiny"]
        repository.commit(
            {name: content for name, content in _of(repository).items() if name not in names}
        )

    return change


def _answering(status: int) -> Callable[[Hub], None]:
    def change(hub: Hub) -> None:
        hub.status = status

    return change


@pytest.mark.parametrize(
    ("hub_id", "change", "said"),
    [
        (
            HubId("org/tony"),
            _nothing,
            (
                "--model org/tony: there is no such path, and no such repository that you may read"
                " at http"
            ),
        ),
        (
            HubId("org/tiny", "v2"),
            _nothing,
            "--model org/tiny@v2: the repository has no revision v2",
        ),
        (
            _ID,
            _single,
            (
                "holds no pipeline (model_index.json) but files such as tiny-v1.safetensors;"
                " download the one you mean"
            ),
        ),
        (_ID, _nothing, "it has no model_index.json"),
        (_ID, _refusing("GatedRepo"), "access to the repository is restricted: ask for it at http"),
        (
            _ID,
            _refusing(""),
            "the hub does not let you read model_index.json (status 403); set HF_TOKEN",
        ),
        (
            _ID,
            _without("vae/config.json"),
            "the repository has no vae/config.json, which its pipeline needs",
        ),
        (
            _ID,
            _without("vae/diffusion_pytorch_model.safetensors"),
            "org/tiny/vae holds no safetensors weights",
        ),
        (
            _ID,
            _answering(403),
            "the hub does not let you read the listing of its files (status 403); set HF_TOKEN",
        ),
        (_ID, _answering(500), "answers with status 500 when asked for the listing of its files"),
        (_ID, _answering(200), "the listing of its files cannot be had from http"),
    ],
    ids=(
        "missing revision single nothing gated refused config weights forbidden broken portal".split()
    ),
)
def test_what_cannot_be_had(
    served: Hub, fetch: Fetch, hub_id: HubId, change: Callable[[Hub], None], said: str
) -> None:
    change(served)
    with pytest.raises(InputError) as refused:
        fetch(hub_id)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not [name for name in served.served if name.endswith(".safetensors")]


def test_nobody_answers(fetch: Fetch) -> None:
    with hub_server.running() as stopped:
        pass
    fetch()
    with pytest.raises(
        InputError, match=f"cannot be had from {stopped.endpoint}/org/tiny .*set HF_HUB_OFFLINE=1"
    ):
        fetch(endpoint=stopped.endpoint)


def test_a_cache_that_cannot_be_written(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"cannot be put into the cache .*/file \(.+\); set HF_HOME"
    ):
        fetch(cache=tmp_path / "file")


@pytest.mark.parametrize("of", ["python", "xet"])
def test_a_full_disk(tmp_path: Path, of: str) -> None:
    with (
        pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as full,
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"weights")
    error = (
        full.value
        if of == "python"
        else RuntimeError(f"IO error: {os.strerror(errno.ENOSPC)} (os error 28)")
    )
    said = hub_refusal.sentence(
        error, "unet/model.bin", url="http://hub/org/tiny", revision="main", cache=tmp_path
    )
    assert said.startswith(f"there is no space for unet/model.bin in the cache {tmp_path}; ")


@pytest.mark.parametrize("name", ["model_index.json", "vae/config.json", f"{_UNET}.safetensors"])
def test_what_the_cache_lacks(fetch: Fetch, cache: Path, name: str) -> None:
    lost = fetch().folder / name
    lost.resolve().unlink()
    with pytest.raises(InputError) as refused:
        fetch(offline_only=True)
    said = str(refused.value)
    assert said.startswith("--model org/tiny: ")
    assert name.rpartition(".")[0] in said or "org/tiny/unet holds no safetensors weights" in said
    assert "revision main" in said
    assert str(cache) in said
    assert said.endswith("Run once with network access and without HF_HUB_OFFLINE.")


def test_a_revision_that_the_cache_lacks(fetch: Fetch) -> None:
    fetch()
    with pytest.raises(
        InputError, match=r"model_index\.json of its revision v2 is not in the cache"
    ):
        fetch(HubId("org/tiny", "v2"), offline_only=True)


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
            timeout=60,
        )
        assert done.stderr == ""
        return done.stdout.strip()

    expected = f"[] False True {tmp_path / 'hub' / 'models--org--tiny'}"
    assert run("org/tiny") == expected
    served.forget()
    assert run("org/tiny", HF_HUB_OFFLINE="1") == expected
    assert "is not in the cache" in run("org/tiny@v2", HF_HUB_OFFLINE="1")
    assert not served.listed
