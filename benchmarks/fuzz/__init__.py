"""Fuzzing: every parser of files from outside, on inputs that nobody meant to write.

`python -m benchmarks.fuzz` says of each parser how many inputs it read and refused. Whatever ends
otherwise (another exception, more than 10 seconds, more than 1 GB) is a finding, and its input is
written out.
"""
