"""Benign sets: captioned pictures to fine-tune on, in the layouts in which they are published.

An image folder with `metadata.jsonl` or `metadata.csv`, COCO's captions, or the tars of a
WebDataset; which one it is, is seen from what lies there.
"""

from spqr_tests.data.pictures.benign_set import BenignSet
from spqr_tests.data.pictures.reading import read

__all__ = ["BenignSet", "read"]
