"""The suite that decides whether a text-to-image checkpoint may be released: `pytest --model path/to/ckpt`."""
