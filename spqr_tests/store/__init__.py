"""Evidence on disk: made once and verified when it is read."""
