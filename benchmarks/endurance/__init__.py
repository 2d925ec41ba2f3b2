"""Endurance: runs that are killed, stores that are damaged, disks that fail, and long processes."""
