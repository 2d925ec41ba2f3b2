"""Checkpoints: any model in any published format."""
