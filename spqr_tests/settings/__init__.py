"""Protocols: the settings of everything that affects a number."""
