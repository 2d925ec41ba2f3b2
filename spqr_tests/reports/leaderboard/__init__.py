"""Models beside each other, from their reports."""
