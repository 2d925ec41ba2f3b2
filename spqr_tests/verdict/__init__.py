"""The arithmetic behind a release decision: scores, intervals, measurements, thresholds and decisions.

Pure functions and small values: no torch, no pytest, no files but a `thresholds.toml`, and nothing
of the rest of the suite.
"""
