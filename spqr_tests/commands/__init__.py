"""Commands of `python -m spqr_tests`, for what is not a pytest run."""
