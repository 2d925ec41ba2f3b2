"""The axes: S, P, Q, R and SPQR from evidence."""
