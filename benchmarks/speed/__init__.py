"""Speed: the suite beside the plain way to do the same, in one run."""
