"""The suite that decides whether a text-to-image checkpoint may be released.

Run it with `pytest --model path/to/ckpt`.
"""
