"""Versions: this checkpoint compared with an earlier one."""
