"""The instrument, measured: each command here rebuilds a page of docs/ from nothing (CONTRIBUTING.md lists them)."""
