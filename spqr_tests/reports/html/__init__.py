"""report.html: one self-contained page that says what report.json and images.jsonl hold."""
