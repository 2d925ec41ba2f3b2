"""Planning: what a run will take, and what it can decide."""
