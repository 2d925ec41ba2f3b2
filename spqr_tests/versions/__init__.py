"""Versions: this checkpoint beside an earlier one."""
