"""LoRA files: low-rank updates of named weights, whoever trained them."""
