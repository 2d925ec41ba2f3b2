"""The user's data: prompts and pictures, in the layouts in which they are published."""
