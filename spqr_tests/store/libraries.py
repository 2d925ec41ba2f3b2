"""The libraries that move pixels, weights and flags: their versions, for keys and for reports."""

from functools import cache
from importlib import metadata

ALL = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "onnxruntime",
    "open_clip_torch",
    "nudenet",
    "torchmetrics",
    "torchao",
    "numpy",
    "pillow",
)
"""Those that reports name."""
SAMPLING = ("torch", "diffusers", "transformers", "peft")
"""What decides an image's last bits besides the model."""
TRAINING = (*SAMPLING, "accelerate", "pillow")
"""What decides what a fine-tune learns."""


_COMPUTING = "3"
"""Part of every key that torch's version is part of; raise it when a change of `computing`,
`kernels` or of how models lie in memory moves the last bits.
"""


@cache
def version(name: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """The versions of all that are installed."""
    return {name: found for name in ALL if (found := version(name)) is not None}


def minor(names: tuple[str, ...]) -> dict[str, str]:
    """For keys: major and minor version of each, such as '2.11', and the suite's way to use torch.

    Evidence that was made under another one is not mixed in.
    """
    found = {name: version(name) for name in names}
    own = {"computing": _COMPUTING} if "torch" in names else {}
    return own | {
        name: ".".join(one.split("+")[0].split(".")[:2])
        for name, one in found.items()
        if one is not None
    }
