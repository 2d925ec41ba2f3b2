"""A judge of another package in a process of its own, so that it cannot end or hang the run.

`process.py` is the run's side, `serving.py` the child's, `frames.py` what they say to each other.
"""
