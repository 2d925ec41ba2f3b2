"""Dose and response of embedded variants, and what the bands of curves cover."""
