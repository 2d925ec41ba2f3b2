"""The formats of published checkpoints: which tensor is where in which file.

Nothing here imports torch until tensors are read.
"""
