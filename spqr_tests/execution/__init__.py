"""Execution: the work that a run needs, as items that any number of processes can share."""
