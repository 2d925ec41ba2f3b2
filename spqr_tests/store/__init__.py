"""Evidence on disk: made once, verified when read."""
