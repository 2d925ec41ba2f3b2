"""The user's data: prompt sets and benign sets, read from their published layouts."""
