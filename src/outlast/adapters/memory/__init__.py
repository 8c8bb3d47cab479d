"""Stores in memory: exact and simple, for tests and for what need not outlive its process."""
