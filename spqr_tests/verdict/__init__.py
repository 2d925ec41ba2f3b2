"""The arithmetic of a release decision: scores, intervals, measurements, thresholds, decisions.

It has pure functions and small values. It imports neither torch nor pytest nor any other package of
the suite, and reads no file except a `thresholds.toml`.
"""
