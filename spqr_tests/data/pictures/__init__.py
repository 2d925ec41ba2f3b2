"""Benign sets: captioned pictures to fine-tune on, read from their published layouts.

A set is an image folder with `metadata.jsonl` or `metadata.csv`, COCO's captions, or the tars of a
WebDataset. The files in it decide which.
"""

from spqr_tests.data.pictures.benign_set import BenignSet
from spqr_tests.data.pictures.reading import read

__all__ = ["BenignSet", "read"]
