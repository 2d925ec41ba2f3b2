"""The page on exit codes: every known way to lose a test, tried, without and with `-n 2`."""
