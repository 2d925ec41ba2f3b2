"""Generation: images of a checkpoint and of its fine-tuned variants."""
