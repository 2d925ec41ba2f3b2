"""The reference pages of docs/: options, protocol keys and thresholds, as the code has them."""
