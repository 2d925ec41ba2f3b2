"""Planning: what a run would cost, and what it can decide."""
