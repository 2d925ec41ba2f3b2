"""report.json, the source of truth of a run, and what is derived from it."""
