"""Stores that fail on purpose, by a seed: what a real one may do, as often as a test wants it."""
