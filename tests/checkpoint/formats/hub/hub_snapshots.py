"""What the tests' repository holds, and how its snapshots are fetched."""

from collections.abc import Callable

from spqr_tests.checkpoint.formats.hub import HubId, Snapshot
from tests.checkpoint.formats.hub_server import Files, Repository

UNET = "unet/diffusion_pytorch_model"
ID = HubId("org/tiny")
# Published repositories hold these too, and the suite must not download them.
DECOYS = (
    "tiny-v1.ckpt",
    "tiny-v1.safetensors",
    "README.md",
    f"{UNET}.fp16.safetensors",
    f"{UNET}.non_ema.safetensors",
    f"{UNET}.safetensors.index.fp16.json",
    f"{UNET}.bin",
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


def files_on_main(repository: Repository) -> Files:
    return repository.commits[repository.revisions["main"]]
