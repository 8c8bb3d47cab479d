"""Kills the primary of three real PostgreSQL servers under load, again and again, and counts what was lost."""
