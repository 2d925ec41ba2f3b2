"""Protocols of a team: TOML files with the data that they name."""
