"""What the intervals of an audit cover."""
