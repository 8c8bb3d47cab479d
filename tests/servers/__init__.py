"""Real servers that tests start, and stop by their process ids."""
