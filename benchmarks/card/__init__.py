"""What the suite does on a card: rates beside the plain way, full memory, a whole run."""
