"""Names that were published under `spqr_tests.evidence`; they stay importable from here."""
