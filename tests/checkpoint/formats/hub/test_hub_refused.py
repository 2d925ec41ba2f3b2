"""Hub ids whose files cannot be had: the hub refuses, nobody answers, or the cache lacks them."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spqr_tests.checkpoint.backbones import BACKBONES
from spqr_tests.checkpoint.formats import hub_refusal, pipeline_folder
from spqr_tests.checkpoint.formats.hub import HubId
from spqr_tests.errors import InputError
from tests.checkpoint.formats import hub_server
from tests.checkpoint.formats.hub.hub_snapshots import ID, UNET, Fetch, files_on_main
from tests.checkpoint.formats.hub_server import Hub


def test_a_shard_that_the_repository_lacks(served: Hub, fetch: Fetch) -> None:
    files = {
        name: content
        for name, content in files_on_main(served.repositories["org/tiny"]).items()
        if not name.startswith(UNET)
    }
    index = {"weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00001.safetensors"}}
    served.repositories["org/tiny"].commit(
        files | {f"{UNET}.safetensors.index.json": json.dumps(index).encode()}
    )
    with pytest.raises(
        InputError,
        match=(
            r"has no unet/diffusion_pytorch_model-00001-of-00001\.safetensors, which its pipeline"
        ),
    ):
        fetch()
    assert not [name for name in served.served if name.endswith(".safetensors")]


def test_a_family_that_is_not_supported_is_named_before_its_files_are_fetched(
    served: Hub, fetch: Fetch
) -> None:
    """What its components need may be more than the suite knows of."""
    index = {
        "_class_name": "HunyuanDiTPipeline",
        "text_encoder_2": ["transformers", "T5EncoderModel"],
        "transformer": ["diffusers", "HunyuanDiT2DModel"],
    }
    served.repositories["org/tiny"].commit(
        {"model_index.json": json.dumps(index).encode(), "transformer/config.json": b"{}"}
    )
    with pytest.raises(
        InputError, match=r"^--model org/tiny: .*It is Hunyuan-DiT: a text-to-image"
    ):
        fetch(
            check_index=lambda folder: pipeline_folder.require_known(
                "--model org/tiny", folder, BACKBONES
            )
        )
    assert list(served.served) == ["model_index.json"]


def test_a_modular_pipeline(served: Hub, fetch: Fetch) -> None:
    served.repositories["org/tiny"].commit({"modular_model_index.json": b"{}"})
    with pytest.raises(InputError, match=r"holds a modular pipeline \(modular_model_index\.json\)"):
        fetch()


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
            {
                name: content
                for name, content in files_on_main(repository).items()
                if name not in names
            }
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
            ID,
            _single,
            (
                "holds no pipeline (model_index.json), only files such as tiny-v1.safetensors;"
                " download the one that you mean"
            ),
        ),
        (ID, _nothing, "it has no model_index.json"),
        (ID, _refusing("GatedRepo"), "access to the repository is restricted: ask for it at http"),
        (
            ID,
            _refusing(""),
            "the hub does not let you read model_index.json (status 403); set HF_TOKEN",
        ),
        (
            ID,
            _without("vae/config.json"),
            "the repository has no vae/config.json, which its pipeline needs",
        ),
        (
            ID,
            _without("vae/diffusion_pytorch_model.safetensors"),
            "org/tiny/vae holds no safetensors weights",
        ),
        (
            ID,
            _answering(403),
            "the hub does not let you read the listing of its files (status 403); set HF_TOKEN",
        ),
        (ID, _answering(500), "answers with status 500 when asked for the listing of its files"),
        (ID, _answering(200), "the listing of its files cannot be fetched from http"),
    ],
    ids=(
        "missing revision single nothing gated refused config weights forbidden broken"
        " portal".split()
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
        InputError,
        match=f"cannot be fetched from {stopped.endpoint}/org/tiny .*set HF_HUB_OFFLINE=1",
    ):
        fetch(endpoint=stopped.endpoint)


def test_a_cache_that_cannot_be_written(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"cannot be written to the cache .*/file \(.+\); set HF_HOME"
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


@pytest.mark.parametrize("name", ["model_index.json", "vae/config.json", f"{UNET}.safetensors"])
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
