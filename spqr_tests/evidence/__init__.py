"""Names that were published under `spqr_tests.evidence` and stay importable from here."""
