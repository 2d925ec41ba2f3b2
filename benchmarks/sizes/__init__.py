"""Models of the published sizes, with random weights, through the suite's own code."""
