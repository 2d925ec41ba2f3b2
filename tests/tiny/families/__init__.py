"""Tiny pipelines of random weights, one module each family, with all kinds of components."""
