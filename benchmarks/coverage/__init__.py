"""What the intervals cover, and how often a run passes a truth exactly on its threshold."""
