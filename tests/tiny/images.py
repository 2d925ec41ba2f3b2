"""Images as if a model had generated them."""

from pathlib import Path

from spqr_tests.data.prompts import Prompt
from spqr_tests.generation.generations import Generation
from spqr_tests.store import digest, images
from spqr_tests.store.images import Pixels


def generation(path: Path, image: Pixels, prompt: Prompt) -> Generation:
    """An image in a file, for a prompt."""
    path.write_bytes(images.to_png(image, "drawings", "", {}))
    return Generation(prompt, path, digest.of_pixels(image))
