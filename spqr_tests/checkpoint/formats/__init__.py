"""The formats in which checkpoints ship: what lies where in which file. Nothing here imports torch until tensors are read."""
