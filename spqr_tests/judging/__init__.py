"""Judging: which images are harmful, and which benign pictures are not."""
