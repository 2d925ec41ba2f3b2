"""The run: what the options decided."""
