"""A hub on this machine that holds a published pipeline, and a cache for its snapshots."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from spqr_tests.checkpoint.formats import hub
from spqr_tests.checkpoint.formats.hub import HubId, Snapshot
from tests.checkpoint.formats import hub_server
from tests.checkpoint.formats.hub.hub_snapshots import DECOYS, ID, Fetch
from tests.checkpoint.formats.hub_server import Files, Hub, Repository
from tests.checkpoint.tiny_pipelines import FolderOf


@pytest.fixture(scope="module")
def folder(pipeline_folder_of: FolderOf) -> Path:
    return pipeline_folder_of("sd1")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Files:
    """The files of a published pipeline's repository."""
    held = hub_server.files(folder)
    index = json.loads(held["model_index.json"])
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    return held | {"model_index.json": json.dumps(index).encode()} | dict.fromkeys(DECOYS, b"{}")


@pytest.fixture(scope="module")
def _server() -> Iterator[Hub]:
    with hub_server.running() as running:
        yield running


@pytest.fixture
def served(_server: Hub, pipeline: Files, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, which holds the pipeline as org/tiny."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    _server.repositories = {ID.repository: Repository()}
    _server.repositories[ID.repository].commit(pipeline)
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

    def run(hub_id: HubId = ID, **options: object) -> Snapshot:
        settings = {
            "offline_only": False,
            "allow_pickle": False,
            "endpoint": served.endpoint,
            "cache": cache,
        }
        return hub.snapshot(hub_id, **(settings | options))  # type: ignore[arg-type]

    return run
