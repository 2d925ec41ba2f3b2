"""One report in the formats of other viewers."""
