"""What early stopping does: its errors at the threshold, its coverage and what it saves."""
